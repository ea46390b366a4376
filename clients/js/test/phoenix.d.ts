// The package brings no types.
declare module "phoenix";

declare module "*/phoenix-js/lib/server.mjs" {
  export const Server: any;
}

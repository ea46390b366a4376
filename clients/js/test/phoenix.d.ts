// The package brings no types.
declare module "phoenix";

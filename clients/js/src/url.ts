// Where a socket's server is, and what it is told in the address.

/** Params as a query string, nested as `a[b]=1`. What is null or undefined isn't there. */
export function query(params: Record<string, any>, parent = ""): string {
  return Object.entries(params)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => {
      const key = parent ? `${parent}[${name}]` : name;
      return typeof value === "object" ? query(value, key) : `${encodeURIComponent(key)}=${encodeURIComponent(value)}`;
    })
    .filter(Boolean)
    .join("&");
}

/** The address with the params behind what it has already. */
export function withParams(url: string, params: Record<string, any>): string {
  const added = query(params);
  return added ? `${url}${url.includes("?") ? "&" : "?"}${added}` : url;
}

const TOKEN_PREFIX = "base64url.bearer.phx.";

/** The subprotocols that carry a token: in Base64 without padding, of its UTF-8. */
export function tokenProtocols(token: string): string[] {
  let text = "";
  for (const byte of new TextEncoder().encode(token)) text += String.fromCharCode(byte);
  const base64 = btoa(text).replace(/=/g, "");
  // A slash can't stand in a subprotocol. The other alphabet is what Bennu reads as well; Phoenix reads neither.
  const legal = base64.includes("/") ? base64.replace(/\//g, "_").replace(/\+/g, "-") : base64;
  return ["phoenix", TOKEN_PREFIX + legal];
}

/** The token that such subprotocols carry. */
export function tokenOf(protocols: string[] | undefined): string | undefined {
  const found = protocols?.find((protocol) => protocol.startsWith(TOKEN_PREFIX));
  if (!found) return undefined;
  const base64 = found.slice(TOKEN_PREFIX.length).replace(/_/g, "/").replace(/-/g, "+");
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}

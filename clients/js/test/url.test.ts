// Addresses, and tokens beside them.

import { afterEach, describe, expect, test, vi } from "vitest";

import { Socket } from "../src/index";
import { query, tokenOf, tokenProtocols, withParams } from "../src/url";

describe("a query", () => {
  const check = (params: object, expected: string) => test(expected || "nothing", () => expect(query(params)).toBe(expected));
  check({}, "");
  check({ a: 1, b: "ü &=", c: true }, "a=1&b=%C3%BC%20%26%3D&c=true");
  check({ a: { b: { c: 1 } }, d: [1, "x"] }, "a%5Bb%5D%5Bc%5D=1&d%5B0%5D=1&d%5B1%5D=x");
  check({ a: null, b: undefined, c: {}, d: "" }, "d=");

  test("goes behind what is there", () => {
    expect(withParams("/s", { a: 1 })).toBe("/s?a=1");
    expect(withParams("/s?a=1", { b: 2 })).toBe("/s?a=1&b=2");
    expect(withParams("/s", {})).toBe("/s");
  });
});

describe("an address", () => {
  afterEach(() => void vi.unstubAllGlobals());
  const check = (page: string, endPoint: string, expected: string) => test(`${endPoint} on ${page}`, () => {
    vi.stubGlobal("location", new URL(page));
    expect(new Socket(endPoint, { params: { a: 1 } }).endPointURL()).toBe(expected);
  });
  check("http://page:8080/x", "/socket", "ws://page:8080/socket/websocket?a=1&vsn=2.0.0");
  check("https://page/x", "/socket", "wss://page/socket/websocket?a=1&vsn=2.0.0");
  check("https://page/x", "//other/socket", "wss://other/socket/websocket?a=1&vsn=2.0.0");
  check("https://page/x", "ws://other:1/socket", "ws://other:1/socket/websocket?a=1&vsn=2.0.0");
});

describe("a token", () => {
  const check = (token: string, expected: string) => test(token, () => {
    const protocols = tokenProtocols(token);
    expect(protocols).toEqual(["phoenix", `base64url.bearer.phx.${expected}`]);
    expect(tokenOf(protocols)).toBe(token);
  });
  check("1234", "MTIzNA");
  check("ab>", "YWI+");
  // What can't stand in a header is written in the other alphabet.
  check("ab?>>>", "YWI_Pj4-");
  check("grüße 🚀", "Z3LDvMOfZSDwn5qA");

  test("isn't in other subprotocols", () => {
    expect(tokenOf(undefined)).toBe(undefined);
    expect(tokenOf(["phoenix"])).toBe(undefined);
  });
});

// Frames, byte for byte as docs/writing-a-client.md has them, and hostile ones.

import { describe, expect, test } from "vitest";

import { type Message, Serializer } from "../src/index";

const same = <T>(value: T): T => value;
const bytes = (hex: string) => Uint8Array.from(hex.match(/[0-9a-f]{2}/g) ?? [], (byte) => parseInt(byte, 16)).buffer;
const hex = (buffer: unknown) => [...new Uint8Array(buffer as ArrayBuffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

describe("text", () => {
  const message = { join_ref: "1", ref: "2", topic: "t", event: "e", payload: { m: "ü 🚀" } };
  const text = '["1","2","t","e",{"m":"ü 🚀"}]';
  test("is a list of five", () => {
    expect(Serializer.encode(message, same)).toBe(text);
    expect(Serializer.decode(text, same)).toEqual(message);
  });
  test("has null for what isn't there", () => {
    expect(Serializer.encode({ topic: "t", event: "e", payload: {} }, same)).toBe('[null,null,"t","e",{}]');
  });
  test("that is no message throws", () => {
    for (const frame of ["", "x", "{}", "null", "7", "[1"]) expect(() => Serializer.decode(frame, same)).toThrow();
  });
});

describe("bytes", () => {
  const push: Message = { join_ref: "5", ref: "21", topic: "room:a", event: "binecho", payload: bytes("0102") };
  const frame = "0001020607 35 3231 726f6f6d3a61 62696e6563686f 0102".replaceAll(" ", "");

  test("that the client pushes", () => {
    expect(hex(Serializer.encode(push, same))).toBe(frame);
    // A view is as good, and only what it shows is sent.
    expect(hex(Serializer.encode({ ...push, payload: new Uint8Array(bytes("ff0102ff"), 1, 2) }, same))).toBe(frame);
    expect(hex(Serializer.encode({ ...push, payload: new DataView(bytes("0102")) }, same))).toBe(frame);
  });

  const check = (name: string, from: string, expected: Message, payload: string) => test(name, () => {
    const message = Serializer.decode(bytes(from), same);
    const found = message.event === "phx_reply" ? message.payload.response : message.payload;
    expect(hex(found)).toBe(payload);
    expect(found).toBeInstanceOf(ArrayBuffer);
    expect(message).toMatchObject(expected);
  });
  const reply = { join_ref: "5", ref: "21", topic: "room:a", event: "phx_reply", payload: { status: "ok" } };
  check("of a reply", "01 01020602 35 3231 726f6f6d3a61 6f6b 0102", reply, "0102");
  const pushed = { join_ref: "5", ref: null, topic: "room:a", event: "pb", payload: {} };
  check("of a push", "00 010602 35 726f6f6d3a61 7062 0908", pushed, "0908");
  const broadcast = { join_ref: null, ref: null, topic: "room:a", event: "bb", payload: {} };
  check("of a broadcast", "02 0602 726f6f6d3a61 6262 010203", broadcast, "010203");
  check("without a payload", "02 0602 726f6f6d3a61 6262", broadcast, "");

  test("with a field that is too long throw", () => {
    for (const field of ["topic", "event", "ref", "join_ref"]) {
      const fits = { ...push, [field]: "ü".repeat(127) };
      expect(() => Serializer.encode(fits, same)).not.toThrow();
      expect(() => Serializer.encode({ ...push, [field]: "ü".repeat(128) }, same)).toThrow(`${field} has 256 bytes`);
    }
  });

  test("that are cut anywhere throw, or are a message with less", () => {
    const whole = bytes("01 01020602 35 3231 726f6f6d3a61 6f6b 0102");
    for (let length = 0; length < whole.byteLength; length += 1) {
      const decode = () => Serializer.decode(whole.slice(0, length), same);
      if (length < 16) expect(decode).toThrow("frame");
      else expect(decode().payload.response.byteLength).toBe(length - 16);
    }
    for (const kind of [3, 255]) expect(() => Serializer.decode(Uint8Array.of(kind, 0, 0, 0, 0).buffer, same)).toThrow(`kind ${kind}`);
  });
});

// When a socket comes back, and when it doesn't.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Close, SocketOptions } from "../src/index";
import { backoff } from "../src/timer";
import { stage } from "./stage";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("the pauses", () => {
  /** The longest and the shortest of the first tries. */
  const check = (list: number[], jitter: number, tries: number, longest: number[], shortest: number[]) => {
    const all = Array.from({ length: tries }, (_, n) => n + 1);
    vi.spyOn(Math, "random").mockReturnValue(0);
    expect(all.map(backoff(list, jitter))).toEqual(longest);
    vi.spyOn(Math, "random").mockReturnValue(1);
    expect(all.map(backoff(list, jitter))).toEqual(shortest);
  };

  test("go by the list, then stay", () => check([10, 50, 100], 0, 5, [10, 50, 100, 100, 100], [10, 50, 100, 100, 100]));
  test("are shortened by up to the jitter's share", () => check([10, 100], 0.5, 3, [10, 100, 100], [5, 50, 50]));

  test("of a socket are phoenix's, shortened at random", () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const usual = { reconnectAfterMs: undefined, rejoinAfterMs: undefined };
    const { socket } = stage(usual);
    const tries = Array.from({ length: 11 }, (_, n) => n + 1);
    expect(tries.map(socket.reconnectAfterMs)).toEqual([10, 50, 100, 150, 200, 250, 500, 1_000, 2_000, 5_000, 5_000]);
    expect(tries.slice(0, 5).map(socket.rejoinAfterMs)).toEqual([1_000, 2_000, 5_000, 10_000, 10_000]);
    vi.spyOn(Math, "random").mockReturnValue(1);
    expect(socket.reconnectAfterMs(9)).toBe(1_000);
    expect(stage({ ...usual, jitter: 0 }).socket.reconnectAfterMs(9)).toBe(2_000);
  });
});

describe("after a close", () => {
  /** When, in milliseconds after the close, the next connection is made; "never" is not within a day. */
  async function check(code: number, reason: string, expected: number | "never", options: SocketOptions = {}) {
    const { net, socket } = stage(options);
    const closes: Close[] = [];
    socket.onClose((close) => closes.push(close));
    socket.connect();
    await vi.advanceTimersByTimeAsync(1);
    net.now.end(code, reason);
    expect(closes).toEqual([{ code, reason, wasClean: true }]);
    const began = Date.now();
    const day = 86_400_000;
    if (expected === "never") {
      await vi.advanceTimersByTimeAsync(day);
      expect(net.transports.length).toBe(1);
      socket.connect();
      await vi.advanceTimersByTimeAsync(1);
      expect(socket.isConnected()).toBe(true);
    } else {
      while (net.transports.length === 1 && Date.now() - began < day) await vi.advanceTimersByTimeAsync(1);
      expect(Date.now() - began).toBe(expected);
    }
    await Promise.all([socket.disconnect(), vi.advanceTimersByTimeAsync(1)]);
  }

  test("with any code, the usual pause is kept", async () => {
    for (const code of [1000, 1001, 1006, 1011, 4000]) await check(code, "", 100);
  });
  test("with the server's wish, it is followed", async () => {
    await check(1012, "draining retry_ms=730", 730);
    await check(1012, "retry_ms=1", 1);
    await check(1001, "disconnected retry_ms=12345 soon", 12_345);
  });
  test("with a wish for more than a minute, it's a minute", async () => {
    await check(1012, "retry_ms=60001", 60_000);
    await check(1012, `retry_ms=${"9".repeat(100)}`, 60_000);
  });
  test("with nonsense in place of a wish, the usual pause is kept", async () => {
    for (const reason of ["retry_ms=", "retry_ms=-1", "retry_ms=1e3", "xretry_ms=7", "retry_ms=7.5"]) {
      await check(1012, reason, 100);
    }
  });
  test("with the server's last word, it doesn't come back until it's told to", async () => {
    await check(1008, "retry=never", "never");
    await check(1001, "disconnected retry=never", "never");
    await check(1001, "retry=nevermore", 100);
  });
  test("the application has the say", async () => {
    const asked: [Close, number][] = [];
    const retryConnect = (close: Close, tries: number) => asked.push([close, tries]) < 0;
    await check(1012, "retry_ms=7", "never", { retryConnect });
    expect(asked).toEqual([[{ code: 1012, reason: "retry_ms=7", wasClean: true }, 1]]);
    await check(1008, "retry=never", 100, { retryConnect: () => true });
  });
});

test("a wish counts once", async () => {
  const { net, socket } = stage();
  socket.connect();
  await vi.advanceTimersByTimeAsync(1);
  net.opens = false;
  net.now.end(1012, "retry_ms=5");
  await vi.advanceTimersByTimeAsync(5);
  expect(net.transports.length).toBe(2);
  net.now.fail();
  await vi.advanceTimersByTimeAsync(199);
  expect(net.transports.length).toBe(2);
  await vi.advanceTimersByTimeAsync(1);
  expect(net.transports.length).toBe(3);
});

test("params that can't be had just now are asked for again", async () => {
  let fails = 0;
  const params = () => {
    if (fails-- > 0) throw new Error("no session");
    return {};
  };
  const { net, socket } = stage({ params });
  const errors: string[] = [];
  socket.onError((error) => errors.push(error.message));
  socket.connect();
  await vi.advanceTimersByTimeAsync(1);
  fails = 2;
  net.now.end(1001);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(errors).toEqual(["no session", "no session"]);
  expect(socket.isConnected()).toBe(true);
});

test("a signal disconnects for good", async () => {
  const controller = new AbortController();
  const { net, socket } = stage({ signal: controller.signal });
  socket.connect();
  await vi.advanceTimersByTimeAsync(1);
  controller.abort();
  await vi.advanceTimersByTimeAsync(60_000);
  socket.connect();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(socket.connectionState()).toBe("closed");
  expect(net.transports.length).toBe(1);
});

test("a frame that is no message is an error, and nothing else", async () => {
  const { net, socket } = stage();
  const errors: unknown[] = [];
  socket.onError((error) => errors.push(error));
  socket.connect();
  const room = socket.channel("room:1");
  await vi.advanceTimersByTimeAsync(1);
  await Promise.all([room.join(), vi.advanceTimersByTimeAsync(10)]);
  const frames = ["", "{", "null", "7", new ArrayBuffer(0), Uint8Array.of(9).buffer, Uint8Array.of(0, 255, 1, 1).buffer];
  for (const frame of frames) net.now.receive(frame);
  expect(errors.length).toBe(frames.length);
  // These are messages of nobody's.
  for (const frame of ["[]", "[1,2,3]", '[null,null,"room:1","phx_reply",null]', '["x","y","room:1",{},null]']) net.now.receive(frame);
  expect(errors.length).toBe(frames.length);
  expect(room.isJoined()).toBe(true);
});

test("what a callback throws is the callback's, not an error of the connection", async () => {
  const { net, socket } = stage();
  const errors: unknown[] = [];
  socket.onError((error) => errors.push(error));
  socket.connect();
  await vi.advanceTimersByTimeAsync(1);
  const room = socket.channel("room:1");
  room.join();
  room.on("news", () => {
    throw new Error("mine");
  });
  expect(() => net.now.receive([null, null, "room:1", "news", {}])).toThrow("mine");
  expect(errors).toEqual([]);
});

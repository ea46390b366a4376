// From a transport that doesn't get through to long-polling.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { LongPoll } from "../src/index";
import { stage } from "./stage";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async (_: string, { method }: any) => {
    if (method === "POST") return new Response('{"status":200}');
    return opened++ ? new Promise(() => {}) : new Response('{"status":410,"token":"t","messages":[]}');
  });
});
let opened = 0;
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  opened = 0;
});

const tick = (ms = 5) => vi.advanceTimersByTimeAsync(ms);

function storage(items: Record<string, string> = {}) {
  return { items, getItem: (key: string) => items[key] ?? null, setItem: (key: string, value: string) => void (items[key] = value) };
}
const REMEMBERED = { "phx:fallback:LongPoll": "true" };

function start(items = {}) {
  const sessionStorage = storage(items);
  const { net, socket } = stage({ longPollFallbackMs: 100, sessionStorage });
  net.opens = false;
  return { net, socket, sessionStorage, polls: () => socket.conn instanceof LongPoll };
}

describe("long-polling takes over", () => {
  test("from a WebSocket that doesn't open, and that is remembered", async () => {
    const { net, socket, sessionStorage, polls } = start();
    socket.connect();
    await tick(99);
    expect(polls()).toBe(false);
    await tick(10);
    expect(polls() && socket.isConnected()).toBe(true);
    expect(net.transports.length).toBe(1);
    expect(sessionStorage.items).toEqual(REMEMBERED);
  });

  test("at once from one that fails", async () => {
    const { net, socket, polls } = start();
    socket.connect();
    net.now.fail();
    await tick();
    expect(polls() && socket.isConnected()).toBe(true);
  });

  test("from one that opens and then says nothing", async () => {
    const { net, socket, polls } = start();
    net.answer = () => undefined;
    socket.connect();
    await tick(90);
    net.now.open();
    await tick(99);
    expect(polls()).toBe(false);
    await tick(10);
    expect(polls()).toBe(true);
  });

  test("at once where it was needed before", async () => {
    const { net, socket, polls } = start(REMEMBERED);
    socket.connect();
    await tick();
    expect(polls() && socket.isConnected()).toBe(true);
    expect(net.transports).toEqual([]);
  });
});

describe("long-polling doesn't take over", () => {
  test("from one that answers, also not when that fails later", async () => {
    const { net, socket, sessionStorage, polls } = start();
    net.opens = true;
    socket.connect();
    await tick(500);
    expect(socket.isConnected()).toBe(true);
    net.now.fail();
    await tick(300);
    expect(socket.isConnected()).toBe(true);
    expect(polls()).toBe(false);
    expect(sessionStorage.items).toEqual({});
  });

  test("from one that is disconnected meanwhile", async () => {
    const { socket, net } = start();
    socket.connect();
    void socket.disconnect();
    await tick(5_000);
    expect(socket.connectionState()).toBe("closed");
    expect(net.transports.length).toBe(1);
  });

  test("and isn't remembered, where the first passed before", async () => {
    const { net, socket, sessionStorage, polls } = start();
    net.opens = true;
    socket.connect();
    await tick(50);
    net.opens = false;
    net.now.fail();
    await tick(2_000);
    expect(polls() && socket.isConnected()).toBe(true);
    expect(sessionStorage.items).toEqual({});
  });
});

test("tries to reconnect leave nothing behind", async () => {
  const { net, socket } = start();
  net.opens = true;
  socket.connect();
  await tick(50);
  const callbacks = () => Object.values((socket as any)._callbacks as Record<string, unknown[]>).map((list) => list.length);
  const before = callbacks();
  for (let n = 0; n < 5; n += 1) {
    net.now.end(1012);
    await tick(150);
  }
  expect(net.transports.length).toBe(6);
  expect(callbacks()).toEqual(before);
});

test("a page without storage falls back all the same", async () => {
  Object.defineProperty(globalThis, "sessionStorage", {
    configurable: true,
    get() {
      throw new Error("SecurityError");
    },
  });
  try {
    const { net, socket } = stage({ longPollFallbackMs: 100 });
    net.opens = false;
    socket.connect();
    await tick(120);
    expect(socket.conn).toBeInstanceOf(LongPoll);
  } finally {
    Reflect.deleteProperty(globalThis, "sessionStorage");
  }
});

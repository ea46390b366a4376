// A page that is hidden, shown, left and returned to.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Net } from "./fake";
import { stage } from "./stage";

let window: EventTarget;
let document: EventTarget & { visibilityState: string };

beforeEach(() => {
  vi.useFakeTimers();
  window = new EventTarget();
  document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  vi.stubGlobal("window", window);
  vi.stubGlobal("document", document);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const tick = (ms = 5) => vi.advanceTimersByTimeAsync(ms);
const happens = (event: string, target: EventTarget = window) => target.dispatchEvent(new Event(event));
const visible = (yes: boolean) => {
  document.visibilityState = yes ? "visible" : "hidden";
  happens("visibilitychange");
};
const connections = (net: Net) => net.transports.length;

describe("a hidden page", () => {
  test("doesn't reconnect until it's seen, and then at once", async () => {
    const { net, socket } = stage();
    socket.connect();
    await tick();
    visible(false);
    net.now.fail();
    await tick(60_000);
    expect(connections(net)).toBe(1);
    visible(true);
    happens("resume", document);
    await tick();
    expect(connections(net)).toBe(2);
    expect(socket.isConnected()).toBe(true);
  });

  test("that is seen again connects nothing that didn't want to", async () => {
    const { net, socket } = stage();
    visible(false);
    visible(true);
    await tick();
    expect(connections(net)).toBe(0);
    socket.connect();
    await tick();
    visible(false);
    visible(true);
    await tick();
    expect(connections(net)).toBe(1);
    void socket.disconnect();
    await tick(100);
    visible(true);
    await tick(60_000);
    expect(connections(net)).toBe(1);
  });
});

describe("a page that is left", () => {
  test("disconnects, and connects when it's returned to", async () => {
    const { net, socket } = stage();
    socket.connect();
    await tick();
    happens("pagehide");
    await tick(60_000);
    expect(socket.connectionState()).toBe("closed");
    happens("pageshow");
    await tick();
    expect(socket.isConnected()).toBe(true);
    happens("pageshow");
    await tick();
    expect(connections(net)).toBe(2);
  });

  test("stays disconnected if it wasn't connected, or was disconnected since", async () => {
    const { net, socket } = stage();
    happens("pagehide");
    happens("pageshow");
    await tick();
    expect(connections(net)).toBe(0);
    socket.connect();
    await tick();
    happens("pagehide");
    void socket.disconnect();
    happens("pageshow");
    await tick(5_000);
    expect(connections(net)).toBe(1);
  });
});

test("a signal ends that, too", async () => {
  const controller = new AbortController();
  const { net, socket } = stage({ signal: controller.signal });
  socket.connect();
  await tick();
  happens("pagehide");
  controller.abort();
  happens("pageshow");
  await tick(5_000);
  expect(connections(net)).toBe(1);
});

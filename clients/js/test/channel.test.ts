// What a channel of ours can that phoenix's can't: promises, signals, iteration, last words.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { type Channel, PushError } from "../src/index";
import type { Net } from "./fake";
import { outcome, say, stage } from "./stage";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const tick = (ms = 10) => vi.advanceTimersByTimeAsync(ms);

async function joined(options = {}): Promise<{ net: Net; room: Channel }> {
  const { net, socket } = stage(options);
  socket.connect();
  const room = socket.channel("room:1");
  room.join();
  await tick();
  net.take();
  return { net, room };
}

describe("a promise", () => {
  test("gives what a join is answered", async () => {
    const { net, socket } = stage();
    net.answer = () => ({ status: "ok", response: { members: 3 } });
    socket.connect();
    const answer = outcome(socket.channel("room:1").join());
    await tick();
    expect(await answer).toEqual({ value: { members: 3 } });
  });

  test("of a push says how it failed", async () => {
    const { net, room } = await joined();
    const check = async (status: string, response: unknown, message: string) => {
      net.answer = () => ({ status, response });
      const failed = outcome(room.push("say"));
      await tick();
      const { error } = (await failed) as { error: PushError };
      expect(error).toBeInstanceOf(PushError);
      expect({ ...error, message: error.message }).toMatchObject({ status, response, message });
    };
    await check("error", { reason: "full" }, "say on room:1 failed: error (full)");
    await check("error", "plain", "say on room:1 failed: error");
    await check("later", {}, "say on room:1 failed: later");
    await check("error", null, "say on room:1 failed: error");
  });

  test("fails when no answer comes", async () => {
    const { net, room } = await joined();
    net.answer = () => undefined;
    const [one, two] = [outcome(room.push("say", {}, 50)), outcome(room.push("say", {}, { timeout: 70 }))];
    await tick(60);
    expect(await one).toMatchObject({ error: { status: "timeout" } });
    await tick(20);
    expect(await two).toMatchObject({ error: { status: "timeout" } });
  });

  test("that nobody asked for isn't one that fails", async () => {
    const { net, room } = await joined();
    net.answer = () => ({ status: "error", response: {} });
    const seen: unknown[] = [];
    const unhandled = (error: unknown) => seen.push(error);
    process.on("unhandledRejection", unhandled);
    room.push("say").receive("error", () => {});
    room.push("say", {}, { signal: AbortSignal.abort() });
    await tick();
    vi.useRealTimers();
    await new Promise((resolve) => setTimeout(resolve));
    process.off("unhandledRejection", unhandled);
    expect(seen).toEqual([]);
  });

  test("of a result never fails", async () => {
    const { net, room } = await joined();
    net.answer = () => ({ status: "error", response: { reason: "no" } });
    const result = room.push("say").result();
    await tick();
    expect(await result).toEqual({ status: "error", response: { reason: "no" } });
  });

  test("that comes late is the same, and catch and finally work", async () => {
    const { net, room } = await joined();
    net.answer = () => ({ status: "ok", response: 7 });
    const push = room.push("say");
    await tick();
    expect(await push).toBe(7);
    const order: string[] = [];
    expect(await push.finally(() => order.push("finally"))).toBe(7);
    net.answer = () => ({ status: "error", response: {} });
    const failing = room.push("say");
    await tick();
    expect(await failing.catch(({ status }) => status)).toBe("error");
    expect(order).toEqual(["finally"]);
  });

  test("of a join that is never answered ends when the channel is left", async () => {
    const { net, socket } = stage();
    net.answer = () => undefined;
    socket.connect();
    const room = socket.channel("room:1");
    const join = outcome(room.join());
    await tick();
    await room.leave();
    expect(await join).toMatchObject({ error: { status: "closed" } });
  });

  test("of a push that can't be encoded when its turn comes fails, and the others are sent", async () => {
    const { net, socket } = stage();
    net.answer = () => ({ status: "ok", response: {} });
    socket.connect();
    const room = socket.channel("room:1");
    room.join();
    const [bad, good] = [outcome(room.push("bad", { n: 1n })), outcome(room.push("good"))];
    await tick();
    expect(await bad).toMatchObject({ error: { status: "error", response: { reason: expect.stringContaining("BigInt") } } });
    expect(await good).toEqual({ value: {} });
  });
});

describe("a payload", () => {
  test("may be any JSON, and nothing is an empty object", async () => {
    const { net, room } = await joined();
    for (const payload of [0, false, "", [1], "text", null, undefined]) room.push("say", payload);
    expect(net.take().map((line) => JSON.parse(line.slice("sends ".length))[4])).toEqual([0, false, "", [1], "text", {}, {}]);
  });

  test("of bytes may be a part of a buffer", async () => {
    const { net, room } = await joined();
    room.push("b", Uint8Array.of(1, 2, 3, 4).subarray(1, 3));
    expect(net.take()[0]).toMatch(/,2,3\]$/);
  });
});

describe("a signal", () => {
  test("keeps what isn't sent from being sent", async () => {
    const { net, socket } = stage();
    socket.connect();
    const room = socket.channel("room:1");
    room.join();
    const controller = new AbortController();
    const push = outcome(room.push("say", {}, { signal: controller.signal }));
    const gone = outcome(room.push("say", {}, { signal: AbortSignal.abort("before") }));
    controller.abort("changed my mind");
    await tick();
    expect(await push).toEqual({ error: "changed my mind" });
    expect(await gone).toEqual({ error: "before" });
    expect(net.take().join()).not.toContain("say");
    expect(room.pushBuffer).toEqual([]);
  });

  test("that is aborted before keeps a push from being sent at all", async () => {
    const { net, room } = await joined();
    expect(await outcome(room.push("say", {}, { signal: AbortSignal.abort("before") }))).toEqual({ error: "before" });
    expect(net.take()).toEqual([]);
  });

  test("ends the wait for a reply", async () => {
    const { net, room } = await joined();
    net.answer = () => undefined;
    const controller = new AbortController();
    const push = outcome(room.push("say", {}, { signal: controller.signal }));
    controller.abort();
    expect(await push).toMatchObject({ error: { name: "AbortError" } });
    expect(vi.getTimerCount()).toBe(1); // the heartbeat's
  });

  test("leaves a channel, whether it has joined or not", async () => {
    for (const ms of [0, 50]) {
      const { net, socket } = stage();
      socket.connect();
      const room = socket.channel("room:1");
      const controller = new AbortController();
      const join = outcome(room.join({ signal: controller.signal }));
      if (ms) await tick(ms);
      controller.abort("enough");
      expect(await join).toEqual(ms ? { value: {} } : { error: "enough" });
      await tick(60_000);
      expect(room.isClosed()).toBe(true);
      expect(socket.channels).toEqual([]);
      expect(net.take().filter((line) => line.includes("phx_leave")).length).toBe(ms ? 1 : 0);
    }
  });

  test("that is aborted before keeps a channel from joining", async () => {
    const { net, socket } = stage();
    socket.connect();
    const join = outcome(socket.channel("room:1").join({ signal: AbortSignal.abort("no") }));
    await tick();
    expect(await join).toEqual({ error: "no" });
    expect(net.take().join()).not.toContain("phx_join");
  });

  test("takes a callback off", async () => {
    const { net, room } = await joined();
    const controller = new AbortController();
    const seen: unknown[] = [];
    room.on("news", (payload) => seen.push(payload), { signal: controller.signal });
    room.on("news", (payload) => seen.push(payload), { signal: AbortSignal.abort() });
    say(net, room, "news", 1);
    controller.abort();
    say(net, room, "news", 2);
    expect(seen).toEqual([1]);
  });
});

describe("iteration", () => {
  /** All that comes until the end, and how it ends. */
  async function all(events: AsyncIterable<unknown>): Promise<unknown[]> {
    const seen: unknown[] = [];
    try {
      for await (const event of events) seen.push(event);
      seen.push("end");
    } catch (error) {
      seen.push(error instanceof Error ? error.message : error);
    }
    return seen;
  }

  test("is over an event's payloads, through a lost connection, until the channel is closed", async () => {
    const { net, room } = await joined();
    const seen = all(room.events("news"));
    say(net, room, "news", { n: 1 });
    say(net, room, "other", { n: 2 });
    net.now.fail();
    await tick(500);
    say(net, room, "news", { n: 3 });
    room.leave();
    say(net, room, "news", { n: 4 });
    expect(await seen).toEqual([{ n: 1 }, { n: 3 }, "end"]);
  });

  test("without a name is over all events, but not the protocol's", async () => {
    const { net, room } = await joined();
    const seen = all(room.events());
    say(net, room, "news", 1);
    room.push("x");
    await tick();
    say(net, room, "other", 2);
    net.now.receive([room.joinRef(), room.joinRef(), room.topic, "phx_close", {}]);
    expect(await seen).toEqual([{ event: "news", payload: 1 }, { event: "other", payload: 2 }, "end"]);
  });

  test("begins with the call, not with the first read", async () => {
    const { net, room } = await joined();
    const events = room.events("news");
    say(net, room, "news", 1);
    room.leave();
    expect(await all(events)).toEqual([1, "end"]);
    expect(await all(room.events("news"))).toEqual(["end"]);
  });

  test("ends with its signal, after what is there", async () => {
    const { net, room } = await joined();
    const controller = new AbortController();
    const events = room.events("news", { signal: controller.signal });
    say(net, room, "news", 1);
    controller.abort("enough");
    say(net, room, "news", 2);
    expect(await all(events)).toEqual([1, "enough"]);
    expect(await all(room.events("news", { signal: AbortSignal.abort("before") }))).toEqual(["before"]);
  });

  test("that isn't read fails when too much waits", async () => {
    const { net, room } = await joined();
    const [events, usual] = [room.events("news", { queueMax: 2 }), room.events("news")];
    for (let n = 1; n <= 1_025; n += 1) say(net, room, "news", n);
    expect(await all(events)).toEqual([1, 2, "more than 2 events wait to be read"]);
    expect((await all(usual)).slice(-2)).toEqual([1_024, "more than 1024 events wait to be read"]);
  });

  test("that is left stops listening", async () => {
    const { net, room } = await joined();
    const events = room.events("news");
    for (const n of [1, 2]) say(net, room, "news", n);
    for await (const n of events) {
      expect(n).toBe(1);
      break;
    }
    expect(await events.next()).toEqual({ value: undefined, done: true });
  });

  test("may be read ahead by several", async () => {
    const { net, room } = await joined();
    const events = room.events("news");
    const reads = [events.next(), events.next(), events.next()];
    say(net, room, "news", 1);
    say(net, room, "news", 2);
    room.leave();
    expect(await Promise.all(reads)).toEqual([
      { value: 1, done: false },
      { value: 2, done: false },
      { value: undefined, done: true },
    ]);
  });
});

describe("a join that is refused", () => {
  async function check(options: { response: object; socket?: object; channel?: object }, joins: number) {
    const { net, socket } = stage(options.socket);
    net.answer = ([, , , event]) => (event === "phx_join" ? { status: "error", response: options.response } : undefined);
    socket.connect();
    const room = socket.channel("room:1", {}, options.channel);
    const told: string[] = [];
    room.onClose((why) => told.push(`closed: ${why}`));
    room.join().receive("error", () => told.push("refused"));
    await tick(1_000 + 2_000 + 3_000 + 4_000 + 500);
    expect(net.take().filter((line) => line.includes("phx_join")).length).toBe(joins);
    const isFinal = joins < 5;
    expect(told).toEqual([...Array(joins).fill("refused"), ...(isFinal ? ["closed: refused"] : [])]);
    expect(room.state).toBe(isFinal ? "closed" : "errored");
    // Nor when the connection comes anew.
    net.now.end(1012);
    await tick(500);
    expect(net.take().filter((line) => line.includes("phx_join")).length).toBe(isFinal ? 0 : 1);
  }

  test("is tried again for ever", () => check({ response: { reason: "full" } }, 5));
  test("isn't when the server says it's final", () => check({ response: { reason: "banned", final: true } }, 1));
  test("is when it only looks so", () => check({ response: { final: "yes" } }, 5));
  test("is tried as often as the channel says", () => {
    return check({ response: {}, channel: { retryJoin: (_: unknown, tries: number) => tries < 3 } }, 3);
  });
  test("is tried as the socket says for all channels", () => {
    return check({ response: { reason: "unauthorized" }, socket: { retryJoin: ({ reason }: any) => reason !== "unauthorized" } }, 1);
  });
  test("is tried as the channel says rather than the socket", () => {
    return check({ response: {}, socket: { retryJoin: () => false }, channel: { retryJoin: () => true } }, 5);
  });
});

test("pushes that nobody waits for any more aren't kept while there is no connection", async () => {
  const { net, room } = await joined();
  net.opens = false;
  net.now.end(1006);
  for (let n = 0; n < 100; n += 1) room.push("say", { n }, 1_000);
  expect(room.pushBuffer.length).toBe(100);
  await tick(1_001);
  expect(room.pushBuffer.length).toBe(0);
});

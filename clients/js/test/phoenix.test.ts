// The same scripts with npm's phoenix and with ours: what goes over the wire and what callbacks are told must be the same,
// to the ref. (Only that a connection has closed is noticed up to 150 ms sooner by ours.)

import * as phoenix from "phoenix";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import * as ours from "../src/index";
import { Net } from "./fake";

type Library = { Socket: any; Presence: any };

interface Stage {
  net: Net;
  socket: any;
  lib: Library;
  /** A channel whose life is noted. */
  channel(topic: string, params?: unknown): any;
  /** Notes what becomes of a push. */
  watch(push: any, name: string): void;
  tick(ms: number): Promise<void>;
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function play(lib: Library, options: object, script: (stage: Stage) => Promise<void>): Promise<string[]> {
  vi.setSystemTime(0);
  const net = new Net();
  const socket = new lib.Socket("ws://host/socket", {
    transport: net.Transport,
    reconnectAfterMs: (tries: number) => tries * 100,
    rejoinAfterMs: (tries: number) => tries * 1_000,
    ...options,
  });
  socket.onOpen(() => net.note("open"));
  socket.onClose(({ code, reason }: any) => net.note("close", code, reason));
  socket.onError((error: any, transport: any, established: number) => net.note("error", error?.type, transport === net.Transport, established));
  // A state of presences isn't the same any more once phoenix has applied it.
  socket.onMessage(({ event, payload }: any) => net.note("message", event, event.startsWith("presence") ? "-" : payload));
  const watch = (push: any, name: string) => {
    for (const status of ["ok", "error", "timeout", "odd"]) {
      push.receive(status, (response: unknown) => net.note(`${name}: ${status}`, response));
    }
  };
  const channel = (topic: string, params?: unknown) => {
    const it = socket.channel(topic, params);
    it.onClose((reason: unknown) => net.note(`${topic} closed`, reason));
    it.onError((reason: unknown) => net.note(`${topic} lost`, reason ?? "-"));
    it.on("news", (payload: unknown, ref: unknown, joinRef: unknown) => net.note(`${topic} news`, payload, ref, joinRef));
    return it;
  };
  const tick = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    net.note(`[${Date.now()} ms] ${socket.connectionState()} ${socket.channels.map((it: any) => `${it.topic}=${it.state}`)}`);
  };
  await script({ net, socket, lib, channel, watch, tick });
  vi.clearAllTimers();
  return net.log;
}

/** By name, what is done. */
const scripts: Record<string, [options: object, script: (stage: Stage) => Promise<void>]> = {
  "a join, a push, a reply, a push of the server's, a broadcast": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      socket.connect();
      socket.connect();
      const room = channel("room:1", { token: 1 });
      watch(room.join(), "join");
      watch(room.push("early", { n: 1 }), "early");
      await tick(10);
      net.answer = ([, , , event, payload]) => ({ status: event === "fail" ? "error" : event === "odd" ? "odd" : "ok", response: payload });
      watch(room.push("ping", { n: 2 }), "ping");
      watch(room.push("fail", { n: 3 }), "fail");
      watch(room.push("odd"), "odd");
      await tick(10);
      net.now.receive([room.joinRef(), null, "room:1", "news", { a: 1 }]);
      net.now.receive([null, null, "room:1", "news", { a: 2 }]);
      net.now.receive(["stale", null, "room:1", "news", { a: 3 }]);
      net.now.receive([null, null, "room:2", "news", { a: 4 }]);
      await tick(10);
    },
  ],
  "a join that is refused is tried again, ever later": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      net.answer = () => ({ status: "error", response: { reason: "no" } });
      socket.connect();
      watch(channel("room:1").join(), "join");
      for (let n = 0; n < 5; n += 1) await tick(1_500);
      net.answer = () => ({ status: "ok", response: {} });
      await tick(5_000);
      net.now.receive([null, null, "room:1", "phx_error", { reason: "channel_crash" }]);
      await tick(2_000);
    },
  ],
  "a join without an answer is left and tried again": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      net.answer = () => undefined;
      socket.connect();
      const room = channel("room:1");
      watch(room.join(500), "join");
      watch(room.push("kept", {}, 5_000), "kept");
      watch(room.push("late", {}, 300), "late");
      await tick(600);
      await tick(1_000);
      net.answer = ([, , , event]) => (event === "heartbeat" ? undefined : { status: "ok", response: {} });
      await tick(3_000);
    },
  ],
  "a push without an answer": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      socket.connect();
      const room = channel("room:1");
      room.join();
      await tick(10);
      const push = room.push("slow", {}, 200);
      watch(push, "slow");
      await tick(300);
      net.now.receive([room.joinRef(), push.ref, "room:1", "phx_reply", { status: "ok", response: {} }]);
      watch(push, "again");
      await tick(10);
    },
  ],
  "a channel that crashes, is closed by the server, is left": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      socket.connect();
      const [a, b, c] = ["a", "b", "c"].map((topic) => channel(topic));
      for (const it of [a, b, c]) it.join();
      await tick(10);
      net.now.receive([a.joinRef(), a.joinRef(), "a", "phx_error", { reason: "channel_crash" }]);
      net.now.receive([b.joinRef(), b.joinRef(), "b", "phx_close", {}]);
      watch(c.leave(), "leave");
      watch(a.push("while away", {}), "while away");
      await tick(10);
      await tick(1_000);
      net.now.receive([null, null, "c", "news", {}]);
      await tick(10);
    },
  ],
  "a topic is joined a second time": [
    {},
    async ({ socket, channel, watch, tick }) => {
      socket.connect();
      const first = channel("room:1");
      watch(first.join(), "first");
      await tick(10);
      const second = channel("room:1");
      watch(second.join(), "second");
      await tick(10);
      expect(() => second.join()).toThrow();
      expect(() => channel("room:2").push("x", {})).toThrow();
    },
  ],
  "callbacks are taken off": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      const room = channel("room:1");
      room.join();
      await tick(1);
      const ref = room.on("news", () => net.note("second"));
      room.on("other", () => net.note("other"));
      net.now.receive([null, null, "room:1", "news", {}]);
      room.off("news", ref);
      net.now.receive([null, null, "room:1", "news", {}]);
      room.off("news");
      room.off("other");
      net.now.receive([null, null, "room:1", "news", {}]);
      net.now.receive([null, null, "room:1", "other", {}]);
      const opened = socket.onOpen(() => net.note("never"));
      socket.off([opened]);
      net.now.fail();
      await tick(200);
    },
  ],
  "payloads pass through onMessage": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      socket.connect();
      const room = channel("room:1");
      room.onMessage = (event: string, payload: any) => {
        net.note("hook", event);
        return payload?.n ? { ...payload, seen: true } : payload;
      };
      watch(room.join(), "join");
      await tick(1);
      net.now.receive([null, null, "room:1", "news", { n: 1 }]);
      watch(room.push("x", {}, 100), "x");
      await tick(200);
      room.onMessage = () => undefined;
      expect(() => room.trigger("news", { n: 2 })).toThrow();
    },
  ],
  "a lost connection: channels hear of it, and all comes back": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      socket.connect();
      const [a, b] = [channel("a"), channel("b")];
      a.join();
      await tick(10);
      watch(b.join(), "b");
      net.now.end(1012, "");
      watch(a.push("while away", { n: 1 }), "while away");
      await tick(50);
      await tick(200);
      net.now.fail();
      await tick(500);
    },
  ],
  "a server that isn't there": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      net.opens = false;
      socket.connect();
      const room = channel("room:1");
      watch(room.join(2_000), "join");
      for (let n = 0; n < 6; n += 1) {
        await tick(10);
        net.now.fail();
        await tick(700);
      }
      net.opens = true;
      net.now.open();
      await tick(100);
    },
  ],
  "what was joined and left before there was a connection": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      net.opens = false;
      socket.connect();
      const [a, b] = [channel("a"), channel("b")];
      watch(a.join(), "a");
      watch(b.join(), "b");
      watch(b.leave(), "leave");
      await tick(10);
      net.now.open();
      await tick(10);
    },
  ],
  "a close with 1000 by the server": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("a").join();
      await tick(10);
      net.now.end(1000, "bye");
      await tick(500);
    },
  ],
  "heartbeats, and one that isn't answered": [
    { heartbeatIntervalMs: 1_000 },
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("a").join();
      await tick(3_500);
      net.answer = ([, , , event]) => (event === "heartbeat" ? undefined : { status: "ok", response: {} });
      await tick(1_600);
      await tick(1_000);
      net.now.closes = false;
      await tick(5_500);
    },
  ],
  "a ping": [
    {},
    async ({ net, socket, tick }) => {
      net.note(socket.ping(() => net.note("never")));
      socket.connect();
      await tick(10);
      const { answer } = net;
      net.answer = () => undefined;
      net.note(socket.ping((ms: number) => net.note("pong", ms)));
      await tick(70);
      const sent = JSON.parse((net.log.filter((line) => line.includes("heartbeat")).pop() as string).slice("sends ".length));
      net.now.receive([null, sent[1], "phoenix", "phx_reply", { status: "ok", response: {} }]);
      net.answer = answer;
      await tick(10);
    },
  ],
  "a disconnect, with a callback, and a connect": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      socket.disconnect(() => net.note("nothing to disconnect"));
      socket.connect();
      const room = channel("room:1");
      watch(room.join(), "join");
      await tick(10);
      socket.disconnect(() => net.note("disconnected"), 4001, "enough");
      await tick(2_000);
      socket.connect();
      await tick(50);
    },
  ],
  "a disconnect waits for what is buffered": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("room:1").join();
      await tick(10);
      net.now.bufferedAmount = 10;
      socket.disconnect();
      await tick(100);
      await tick(100);
      net.now.bufferedAmount = 0;
      await tick(1_000);
    },
  ],
  "a connect while the old connection closes": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("room:1").join();
      await tick(10);
      net.now.closes = false;
      socket.disconnect(() => net.note("disconnected"));
      socket.connect();
      await tick(100);
      net.transports[0]?.end(1005);
      await tick(3_000);
    },
  ],
  "a disconnect before it opens": [
    {},
    async ({ net, socket, channel, tick }) => {
      net.opens = false;
      socket.connect();
      channel("room:1").join();
      await tick(10);
      socket.disconnect();
      await tick(1_000);
    },
  ],
  "a disconnect in the callback of a lost connection": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("room:1").onError(() => socket.disconnect());
      socket.channels[0].join();
      await tick(10);
      net.now.end(1012);
      await tick(5_000);
    },
  ],
  "a connect while the old connection still sends": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("room:1").join();
      await tick(10);
      net.now.bufferedAmount = 10;
      socket.disconnect(() => net.note("disconnected"));
      socket.connect();
      net.transports[0]?.receive([null, null, "room:1", "news", { from: "the old one" }]);
      await tick(100);
      await tick(3_000);
    },
  ],
  "a channel that is joined in the callback of another's loss": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      const [a, b] = [channel("a"), channel("b")];
      for (const it of [a, b]) it.join();
      await tick(10);
      let once = () => {
        once = () => {};
        channel("late").join();
        b.rejoin();
      };
      a.onError(() => once());
      net.now.fail();
      await tick(50);
      await tick(1_000);
    },
  ],
  "a disconnect while a dead connection is waited for": [
    { heartbeatIntervalMs: 1_000 },
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("a").join();
      await tick(10);
      net.answer = () => undefined;
      net.now.closes = false;
      await tick(2_500);
      socket.disconnect();
      await tick(10_000);
    },
  ],
  "a connect while a dead connection is waited for": [
    { heartbeatIntervalMs: 1_000 },
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("a").join();
      await tick(10);
      const { answer } = net;
      net.answer = () => undefined;
      net.now.closes = false;
      await tick(2_500);
      net.answer = answer;
      socket.disconnect();
      socket.connect();
      await tick(10_000);
    },
  ],
  "an encoder and a decoder that take their time": [
    {
      encode: ({ join_ref, ref, topic, event, payload }: any, callback: any) => {
        setTimeout(() => callback(JSON.stringify([join_ref, ref, topic, event, payload])), 20);
      },
      decode: (text: string, callback: any) => {
        const [join_ref, ref, topic, event, payload] = JSON.parse(text);
        setTimeout(() => callback({ join_ref, ref, topic, event, payload }), 20);
      },
    },
    async ({ net, socket, channel, watch, tick }) => {
      socket.connect();
      const [a, b] = [channel("a"), channel("b")];
      watch(a.join(), "a");
      watch(b.join(), "b");
      await tick(100);
      watch(a.push("before leave", {}, 500), "before leave");
      watch(a.leave(), "leave");
      await tick(100);
      net.now.receive([null, null, "b", "news", { n: 1 }]);
      b.push("lost", {}, 500);
      net.now.fail();
      await tick(300);
      net.now.receive([null, null, "b", "news", { n: 2 }]);
      await tick(300);
    },
  ],
  "a transport that tells its end twice": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("a").join();
      await tick(10);
      net.now.fail();
      net.now.onclose({ code: 1005, reason: "again", wasClean: false });
      await tick(500);
    },
  ],
  "a join that is left before its answer": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      net.answer = () => undefined;
      socket.connect();
      const a = channel("a");
      watch(a.join(200), "join");
      await tick(50);
      watch(a.leave(), "leave");
      await tick(1_000);
    },
  ],
  "another transport": [
    {},
    async ({ net, socket, channel, tick }) => {
      socket.connect();
      channel("room:1").join();
      await tick(10);
      socket.replaceTransport(net.Transport);
      await tick(100);
      socket.connect();
      await tick(100);
    },
  ],
  "params and tokens are asked for anew": [
    (() => {
      let n = 0;
      const next = () => (n += 1);
      return { params: () => ({ n: next(), nested: { list: ["a b", "ü&"] } }), authToken: () => `token ${next()}` };
    })(),
    async ({ net, socket, channel, tick }) => {
      let join = 0;
      socket.connect();
      channel("room:1", () => ({ join: (join += 1) })).join();
      await tick(10);
      net.note(net.now.protocols);
      net.now.fail();
      await tick(500);
      net.note(net.now.protocols);
    },
  ],
  "bytes": [
    {},
    async ({ net, socket, channel, watch, tick }) => {
      socket.connect();
      const room = channel("room:é");
      room.on("bytes", (payload: ArrayBuffer) => net.note("bytes", [...new Uint8Array(payload)]));
      room.join();
      await tick(10);
      room.push("up", Uint8Array.of(1, 2, 255).buffer);
      expect(() => room.push("x".repeat(256), new ArrayBuffer(1))).toThrow();
      const broadcast = (event: string) => {
        const fields = [new TextEncoder().encode("room:é"), new TextEncoder().encode(event)] as const;
        return Uint8Array.from([2, fields[0].length, fields[1].length, ...fields[0], ...fields[1], 9, 8]).buffer;
      };
      net.now.receive(broadcast("bytes"));
      watch(room.push("x", {}, 100), "x");
      await tick(200);
    },
  ],
  "presence": [
    {},
    async ({ net, socket, channel, lib, tick }) => {
      socket.connect();
      const room = channel("room:1");
      const presence = new lib.Presence(room);
      presence.onJoin((key: string, current: any, joined: any) => net.note("joined", key, current ?? "-", joined));
      presence.onLeave((key: string, current: any, left: any) => net.note("left", key, current, left));
      presence.onSync(() => net.note("synced", presence.list((key: string, { metas }: any) => `${key}:${metas.length}`)));
      room.join();
      await tick(10);
      const metas = (...refs: string[]) => ({ metas: refs.map((phx_ref) => ({ phx_ref })), more: 1 });
      const say = (event: string, payload: any) => net.now.receive([null, null, "room:1", event, payload]);
      const diff = (joins: object, leaves: object) => say("presence_diff", { joins, leaves });
      diff({ eve: metas("e1") }, {});
      say("presence_state", { ada: metas("a1"), ben: metas("b1", "b2"), eve: metas("e1") });
      diff({ ada: metas("a2") }, { ben: metas("b1"), nobody: metas("n1") });
      diff({ constructor: metas("c1") }, { ben: metas("b2") });
      diff({ ada: metas("a3") }, { ada: metas("a1") });
      say("presence_diff", JSON.parse('{"joins":{"__proto__":{"metas":[{"phx_ref":"p1"}]}},"leaves":{}}'));
      net.now.fail();
      await tick(200);
      diff({ late: metas("l1") }, {});
      say("presence_state", { ada: metas("a2", "a4"), late: metas("l1") });
      net.note(presence.list());
    },
  ],
};

describe("as npm's phoenix does it", () => {
  for (const [name, [options, script]] of Object.entries(scripts)) {
    test(name, async () => {
      const again = () => structuredCloneOf(options);
      const theirs = await play(phoenix as Library, again(), script);
      const own = await play(ours as Library, again(), script);
      expect(theirs.length).toBeGreaterThan(3);
      expect(own).toEqual(theirs);
    });
  }
});

/** Options whose functions count begin anew for each of the two. */
function structuredCloneOf(options: object): object {
  let n = 0;
  if (!("authToken" in options)) return options;
  return { params: () => ({ n: (n += 1), nested: { list: ["a b", "ü&"] } }), authToken: () => `token ${(n += 1)}` };
}

// The protocol by hand, frame by frame: what must be on the wire whoever asks.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Raw } from "../lib/raw.mjs";
import { Server } from "../lib/server.mjs";

let server;
before(async () => {
  server = await Server.start("conformance");
});
after(() => server.stop());

const ok = (response = {}) => ({ status: "ok", response });
const error = (reason) => ({ status: "error", response: { reason } });

/** Plays a script of C (client) and S (server) lines; each S line is the next frame read. */
async function check(raw, script) {
  for (const [index, [side, frame]] of script.entries()) {
    if (side === "C") raw.send(frame);
    else assert.deepEqual(await raw.frame(), frame, `line ${index + 1} of the script`);
  }
  // A round trip at the end shows that nothing else came.
  const v1 = !Array.isArray(script[0][1]);
  if (v1) return;
  raw.send([null, "last", "phoenix", "heartbeat", {}]);
  assert.deepEqual(await raw.frame(), [null, "last", "phoenix", "phx_reply", ok()], "after the script");
  assert.deepEqual(raw.unread, []);
}

describe("version 2, as text", () => {
  const scripts = {
    "a whole session": [
      ["C", [null, "1", "phoenix", "heartbeat", {}]],
      ["S", [null, "1", "phoenix", "phx_reply", ok()]],
      ["C", ["1", "3", "nope:1", "phx_join", {}]],
      ["S", [null, "3", "nope:1", "phx_reply", error("unmatched topic")]],
      ["C", ["1", "5", "room:1", "phx_leave", {}]],
      ["S", ["1", "5", "room:1", "phx_reply", ok()]],
      ["C", ["5", "6", "room:golden", "phx_join", { z: 1 }]],
      ["S", ["5", "6", "room:golden", "phx_reply", ok()]],
      ["C", ["5", 8, "room:golden", "ping", "strpayload"]],
      ["S", ["5", 8, "room:golden", "phx_reply", ok("strpayload")]],
      ["C", ["stale", "12", "room:golden", "ping", {}]],
      ["C", [null, "13", "room:golden", "ping", {}]],
      ["S", ["5", "13", "room:golden", "phx_reply", ok()]],
      ["C", ["5", "15", "room:golden", "shout", { m: 1 }]],
      ["S", [null, null, "room:golden", "shout", { m: 1 }]],
      ["C", ["6", "2", "room:golden", "phx_join", {}]],
      ["S", ["6", "2", "room:golden", "phx_reply", ok()]],
      ["S", ["5", "5", "room:golden", "phx_close", {}]],
      ["C", ["6", "3", "room:golden", "crash", {}]],
      ["S", ["6", "6", "room:golden", "phx_error", { reason: "channel_crash" }]],
      ["C", ["6", "4", "room:golden", "ping", {}]],
      ["S", [null, "4", "room:golden", "phx_reply", error("unmatched topic")]],
    ],
    "leave and join again in one breath": [
      ["C", ["5", "1", "room:breath", "phx_join", {}]],
      ["S", ["5", "1", "room:breath", "phx_reply", ok()]],
      ["C", ["5", "2", "room:breath", "phx_leave", {}]],
      ["C", ["6", "3", "room:breath", "phx_join", {}]],
      ["S", ["5", "2", "room:breath", "phx_reply", ok()]],
      ["S", ["5", "5", "room:breath", "phx_close", {}]],
      ["S", ["6", "3", "room:breath", "phx_reply", ok()]],
      ["C", ["6", "4", "room:breath", "ping", {}]],
      ["S", ["6", "4", "room:breath", "phx_reply", ok()]],
    ],
    "refs are echoed as they came": [
      ["C", [7, 1, "room:refs", "phx_join", {}]],
      ["S", [7, 1, "room:refs", "phx_reply", ok()]],
      ["C", ["7", 2, "room:refs", "ping", {}]],
      ["C", [7, 3, "room:refs", "ping", {}]],
      ["S", [7, 3, "room:refs", "phx_reply", ok()]],
      ["C", [7, null, "room:refs", "ping", {}]],
      ["S", [7, null, "room:refs", "phx_reply", ok()]],
    ],
    "a join without a join_ref": [
      ["C", [null, "1", "room:null", "phx_join", {}]],
      ["S", [null, "1", "room:null", "phx_reply", ok()]],
      ["C", ["1", "2", "room:null", "ping", {}]],
      ["C", [null, "3", "room:null", "ping", {}]],
      ["S", ["1", "3", "room:null", "phx_reply", ok()]],
      ["C", [null, "4", "room:null", "push_me", { n: 1 }]],
      ["S", ["1", null, "room:null", "pushed", { n: 1 }]],
      ["C", [null, "5", "room:null", "stop", {}]],
      ["S", [null, null, "room:null", "phx_close", {}]],
    ],
    "any JSON may be a payload": [
      ["C", ["1", "1", "room:json", "phx_join", {}]],
      ["S", ["1", "1", "room:json", "phx_reply", ok()]],
      ...[null, true, 0, -1.5, "text", [], [1, [2]], { a: { b: [] } }].flatMap((payload, n) => [
        ["C", ["1", `p${n}`, "room:json", "ping", payload]],
        ["S", ["1", `p${n}`, "room:json", "phx_reply", ok(payload)]],
      ]),
    ],
    "elements after the fifth are ignored": [
      ["C", [null, "1", "phoenix", "heartbeat", {}, "sixth", { seventh: 7 }]],
      ["S", [null, "1", "phoenix", "phx_reply", ok()]],
    ],
    "a leave of another join is ignored": [
      ["C", ["1", "1", "room:leave-ref", "phx_join", {}]],
      ["S", ["1", "1", "room:leave-ref", "phx_reply", ok()]],
      ["C", ["9", "2", "room:leave-ref", "phx_leave", {}]],
      ["C", ["1", "3", "room:leave-ref", "ping", {}]],
      ["S", ["1", "3", "room:leave-ref", "phx_reply", ok()]],
    ],
    "the prefix alone is a topic too": [
      ["C", ["1", "1", "room:", "phx_join", {}]],
      ["S", ["1", "1", "room:", "phx_reply", ok()]],
      ["C", ["2", "2", "room", "phx_join", {}]],
      ["S", [null, "2", "room", "phx_reply", error("unmatched topic")]],
    ],
  };
  for (const [name, script] of Object.entries(scripts)) {
    test(name, async (t) => check(await Raw.open(t, server), script));
  }
});

describe("version 2, as bytes", () => {
  const bytes = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));

  test("push, reply and broadcast have the known layout", async (t) => {
    await check(await Raw.open(t, server), [
      ["C", ["5", "6", "room:a", "phx_join", {}]],
      ["S", ["5", "6", "room:a", "phx_reply", ok()]],
      ["C", bytes([0, 1, 2, 6, 3], "521room:abin", [1, 2])],
      ["S", bytes([1, 1, 2, 6, 2], "521room:aok", [1, 2])],
      ["C", bytes([0, 1, 2, 6, 9], "522room:abin_shout", [1, 2, 3])],
      ["S", bytes([2, 6, 9], "room:abin_shout", [1, 2, 3])],
    ]);
  });

  test("an empty payload and one that looks like JSON stay bytes", async (t) => {
    await check(await Raw.open(t, server), [
      ["C", ["5", "6", "room:b", "phx_join", {}]],
      ["S", ["5", "6", "room:b", "phx_reply", ok()]],
      ["C", bytes([0, 1, 1, 6, 3], "57room:bbin")],
      ["S", bytes([1, 1, 1, 6, 2], "57room:bok")],
      ["C", bytes([0, 1, 1, 6, 3], '58room:bbin{"a":1}')],
      ["S", bytes([1, 1, 1, 6, 2], '58room:bok{"a":1}')],
    ]);
  });

  test("an empty join_ref is a stale one", async (t) => {
    await check(await Raw.open(t, server), [
      ["C", ["5", "6", "room:c", "phx_join", {}]],
      ["S", ["5", "6", "room:c", "phx_reply", ok()]],
      ["C", bytes([0, 0, 1, 6, 3], "7room:cbin", [9])],
    ]);
  });
});

describe("version 1", () => {
  const script = [
    ["C", { topic: "phoenix", event: "heartbeat", payload: {}, ref: "1" }],
    ["S", { topic: "phoenix", event: "phx_reply", payload: ok(), ref: "1" }],
    ["C", { topic: "room:one", event: "phx_join", payload: { q: 1 }, ref: "2" }],
    ["S", { topic: "room:one", event: "phx_reply", payload: ok(), ref: "2" }],
    ["C", { topic: "room:one", event: "ping", payload: { n: 1 }, ref: "3", extra: true }],
    ["S", { topic: "room:one", event: "phx_reply", payload: ok({ n: 1 }), ref: "3" }],
    ["C", { topic: "room:one", event: "shout", payload: { q: 1 }, ref: "4" }],
    ["S", { topic: "room:one", event: "shout", payload: { q: 1 }, ref: null }],
    ["C", { topic: "room:one", event: "push_me", payload: { q: 2 }, ref: "5" }],
    ["S", { topic: "room:one", event: "pushed", payload: { q: 2 }, ref: null }],
    ["C", { topic: "room:one", event: "crash", payload: {}, ref: "6" }],
    ["S", { topic: "room:one", event: "phx_error", payload: { reason: "channel_crash" }, ref: null }],
    ["C", { topic: "room:two", event: "phx_join", payload: {}, ref: "7", join_ref: "7" }],
    ["S", { topic: "room:two", event: "phx_reply", payload: ok(), ref: "7" }],
    ["C", { topic: "room:two", event: "stop", payload: {}, ref: "8", join_ref: "7" }],
    ["S", { topic: "room:two", event: "phx_close", payload: {}, ref: "7" }],
    ["C", { topic: "room:two", event: "ping", payload: {}, ref: "9" }],
    ["S", { topic: "room:two", event: "phx_reply", payload: error("unmatched topic"), ref: "9" }],
  ];
  for (const query of ["?vsn=1.0.0", "?vsn=1.0.7", ""]) {
    test(`a whole session with ${query === "" ? "no version asked for" : query}`, async (t) => {
      const raw = await Raw.open(t, server, query);
      await check(raw, script);
      assert.deepEqual(raw.unread, []);
    });
  }

  test("the same topic serves both versions", async (t) => {
    const [one, two] = [await Raw.open(t, server, "?vsn=1.0.0"), await Raw.open(t, server)];
    one.send({ topic: "room:both", event: "phx_join", payload: {}, ref: "1" });
    two.send(["1", "1", "room:both", "phx_join", {}]);
    await Promise.all([one.frame(), two.frame()]);
    one.send({ topic: "room:both", event: "shout", payload: { é: "🚀" }, ref: "2" });
    assert.deepEqual(await one.frame(), { topic: "room:both", event: "shout", payload: { é: "🚀" }, ref: null });
    assert.deepEqual(await two.frame(), [null, null, "room:both", "shout", { é: "🚀" }]);
  });

  test("bytes pass by those who can't read them, and reach the others", async (t) => {
    const [one, two] = [await Raw.open(t, server, "?vsn=1.0.0"), await Raw.open(t, server)];
    one.send({ topic: "room:a", event: "phx_join", payload: {}, ref: "1" });
    two.send(["5", "1", "room:a", "phx_join", {}]);
    await Promise.all([one.frame(), two.frame()]);
    two.send(bytesPush("5", "2", "room:a", "bin_shout", [1]));
    assert.deepEqual(await two.frame(), Buffer.concat([Buffer.from([2, 6, 9]), Buffer.from("room:abin_shout"), Buffer.from([1])]));
    two.send(["5", "3", "room:a", "shout", { n: 1 }]);
    assert.deepEqual(await one.frame(), { topic: "room:a", event: "shout", payload: { n: 1 }, ref: null });
  });
});

function bytesPush(joinRef, ref, topic, event, payload) {
  const texts = [joinRef, ref, topic, event].map((text) => Buffer.from(text));
  return Buffer.concat([Buffer.from([0, ...texts.map(({ length }) => length)]), ...texts, Buffer.from(payload)]);
}

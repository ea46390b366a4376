// Other people's clients against the conformance server: whatever is like Phoenix's own goes through the same talk.
// The official client of 1.8 and 1.6 has suites of its own in tests/phoenix-js.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import WebSocket from "ws";

import { within } from "../../phoenix-js/lib/inbox.mjs";
import { Server } from "../../phoenix-js/lib/server.mjs";

const WAIT_MS_MAX = 10_000;

/** By package: which protocol it speaks, and whether bytes are payloads to it. */
const clients = {
  "phoenix-1-3": { vsn: "2.0.0", bytes: false },
  "phoenix-1-4": { vsn: "2.0.0", bytes: false },
  "phoenix-1-5": { vsn: "2.0.0", bytes: false },
  "phoenix-1-7": { vsn: "2.0.0", bytes: true },
  "@supabase/phoenix": { vsn: "2.0.0", bytes: true },
  "phoenix-channels": { vsn: "1.0.0", bytes: false, ownWebSocket: true },
  "phoenix-socket": { vsn: "1.0.0", bytes: false },
};

const require = createRequire(import.meta.url);
// What they expect of a browser.
globalThis.window = globalThis;
globalThis.WebSocket = WebSocket;

let server;
before(async () => {
  server = await Server.start("conformance");
});
after(() => server.stop());

function soon(promise, what) {
  return within(promise, WAIT_MS_MAX, () => what);
}

/** How a push is answered: with "ok" and this, or else an error. */
function answer(push, what) {
  const answered = new Promise((resolve, reject) => {
    push
      .receive("ok", resolve)
      .receive("error", (why) => reject(new Error(`${what}: ${JSON.stringify(why)}`)))
      .receive("timeout", () => reject(new Error(`${what}: timeout`)));
  });
  return soon(answered, `an answer to ${what}`);
}

function heard(channel, event) {
  return soon(new Promise((resolve) => channel.on(event, resolve)), event);
}

for (const [name, { vsn, bytes, ownWebSocket }] of Object.entries(clients)) {
  describe(name, () => {
    let Socket, Presence;
    before(() => {
      ({ Socket, Presence } = require(name));
    });

    /** A connection that ends with the test, and the address that it asked for. */
    async function connect(t, params) {
      const asked = [];
      class Spy extends WebSocket {
        constructor(url, ...rest) {
          asked.push(url);
          super(url, ...rest);
        }
      }
      const socket = new Socket(server.ws("/socket"), { params, ...(ownWebSocket ? {} : { transport: Spy }) });
      t.after(() => new Promise((resolve) => socket.disconnect(resolve)));
      const opened = soon(new Promise((resolve) => socket.onOpen(resolve)), "open");
      socket.connect();
      await opened;
      if (!ownWebSocket) assert.equal(new URL(asked[0]).searchParams.get("vsn"), vsn);
      return socket;
    }

    test("it joins, is answered, broadcasts, and leaves", async (t) => {
      const socket = await connect(t, { user_id: "ada" });
      const channel = socket.channel("room:clients", {});
      assert.deepEqual(await answer(channel.join(), "join"), {});
      const said = { text: "hé 🚀", n: 1 };
      assert.deepEqual(await answer(channel.push("ping", said), "ping"), said);
      await assert.rejects(answer(channel.push("fail", { why: "no" }), "fail"), /fail: {"why":"no"}/);
      const shout = heard(channel, "shout");
      channel.push("shout", said);
      const { text, n } = await shout;
      assert.deepEqual({ text, n }, said);
      await answer(channel.leave(), "leave");
    });

    test("it's told why it may not join", async (t) => {
      const socket = await connect(t, {});
      const channel = socket.channel("room:private", {});
      t.after(() => channel.leave());
      await assert.rejects(answer(channel.join(), "join"), /unauthorized/);
    });

    test("it sees who is there", async (t) => {
      const topic = `lobby:${name}`;
      const ada = await connect(t, { user_id: "ada" });
      const channel = ada.channel(topic, {});
      const state = heard(channel, "presence_state");
      const diff = new Promise((resolve) => channel.on("presence_diff", ({ joins }) => joins.ben && resolve({ joins, leaves: {} })));
      await answer(channel.join(), "join");
      let present = Presence.syncState({}, await state);
      const ben = await connect(t, { user_id: "ben" });
      await answer(ben.channel(topic, {}).join(), "join");
      present = Presence.syncDiff(present, await soon(diff, "presence_diff"));
      assert.deepEqual(Object.keys(present).sort(), ["ada", "ben"]);
      assert.equal(present.ben.metas[0].typing, false);
    });

    if (bytes) {
      test("its bytes come back as bytes", async (t) => {
        const socket = await connect(t, {});
        const channel = socket.channel("room:bytes", {});
        await answer(channel.join(), "join");
        const sent = new Uint8Array([0, 255, 1, 254]);
        const back = await answer(channel.push("bin", sent.buffer), "bin");
        assert.deepEqual(new Uint8Array(back), sent);
        await answer(channel.leave(), "leave");
      });
    }
  });
}

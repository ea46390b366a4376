// The life of a connection as the official client sees it: opening, refusal, loss, return.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { clients, connect, join, listen, rejoined, reply } from "../lib/client.mjs";
import { Server } from "../lib/server.mjs";

let server;
before(async () => {
  server = await Server.start("conformance");
});
after(() => server.stop());

const disconnect = (userId) => fetch(server.http(`/disconnect/${userId}`), { method: "POST" });

for (const client of clients) {
  describe(client.name, () => {
    test("a refused connection is an error, and the next try may be let in", async (t) => {
      let params = { token: "bad" };
      const { socket, events } = connect(t, client, server, { params: () => params });
      const { error } = await events.take(({ error }) => error);
      assert.match(error, /403/);
      await events.take(({ close }) => close === 1006);
      assert.equal(socket.isConnected(), false);
      params = { token: "good" };
      await events.take(({ open }) => open);
      const { channel } = await join(socket, "room:let-in");
      assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
    });

    test("heartbeats are acknowledged, again and again, and keep the connection", async (t) => {
      const { socket, events, wire } = connect(t, client, server, { heartbeatIntervalMs: 30 });
      const { channel } = await join(socket, "room:heartbeat");
      for (let beat = 0; beat < 5; beat += 1) {
        const { sent } = await wire.take(({ sent }) => sent?.[3] === "heartbeat");
        const { received } = await wire.take(({ received }) => received?.[1] === sent[1]);
        assert.deepEqual(received, [null, sent[1], "phoenix", "phx_reply", { status: "ok", response: {} }]);
      }
      assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
      assert.deepEqual(events.items, [{ open: true }]);
    });

    test("ping measures a round trip", async (t) => {
      const { socket, events } = connect(t, client, server);
      await events.take(({ open }) => open);
      const ms = await new Promise((resolve) => socket.ping(resolve));
      assert.ok(ms >= 0 && ms < 5_000, `${ms} ms`);
    });

    test("a forced disconnect closes with 1001, the client comes back and joins again", async (t) => {
      const victim = connect(t, client, server, { params: { user_id: "victim" } });
      const second = connect(t, client, server, { params: { user_id: "victim" } });
      const bystander = connect(t, client, server, { params: { user_id: "bystander" } });
      const topic = "room:forced";
      const a = await join(victim.socket, topic, {}, ["shout"]);
      await join(second.socket, "room:forced-too");
      const b = await join(bystander.socket, topic, {}, ["shout"]);
      await rejoined(victim.wire, topic);

      assert.equal((await disconnect("victim")).status, 204);
      for (const { events } of [victim, second]) {
        assert.deepEqual(await events.take(({ close }) => close), { close: 1001, reason: "disconnected" });
      }
      const told = await a.events.take(({ event }) => event === "error");
      if (client.has.errorReasons) {
        assert.deepEqual(told.payload, { source: "transport", reason: "connection_closed" });
      }
      await rejoined(victim.wire, topic);
      b.channel.push("shout", { n: 1 });
      assert.deepEqual(await a.events.take(), { event: "shout", payload: { n: 1 } });
      assert.deepEqual(bystander.events.items, [{ open: true }]);
    });

    test("what is pushed while offline is sent after the return, in order", async (t) => {
      const { socket, events, wire } = connect(t, client, server, { params: { user_id: `${client.name} offline` } });
      const { channel } = await join(socket, "room:offline");
      const answers = new Promise((resolve) => {
        // The close callbacks run while there is no connection.
        socket.onClose(() => resolve(Promise.all([1, 2, 3].map((n) => reply(channel.push("ping", { n }))))));
      });
      await disconnect(encodeURIComponent(`${client.name} offline`));
      const expected = [1, 2, 3].map((n) => ({ status: "ok", response: { n } }));
      assert.deepEqual(await answers, expected);
      await events.take(({ close }) => close === 1001);
      const pings = wire.items.flatMap(({ sent }) => (sent?.[3] === "ping" ? [sent[4].n] : []));
      assert.deepEqual(pings, [1, 2, 3]);
    });

    test("a disconnect by the client is final", async (t) => {
      const { socket, events } = connect(t, client, server);
      await join(socket, "room:goodbye");
      await new Promise((resolve) => socket.disconnect(resolve, 1000, "done"));
      assert.equal(socket.connectionState(), "closed");
      assert.ok(!events.items.some(({ error }) => error), JSON.stringify(events.items));
    });

    test("a connection that says nothing is closed with 1001 idle, and the client comes back", async (t) => {
      const impatient = await Server.start("conformance", ["--idle-timeout-ms", "300"]);
      t.after(() => impatient.stop());
      const { socket, events, wire } = connect(t, client, impatient);
      const { channel } = await join(socket, "room:idle");
      await rejoined(wire, "room:idle");
      assert.deepEqual(await events.take(({ close }) => close), { close: 1001, reason: "idle" });
      await rejoined(wire, "room:idle");
      assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
    });

    test("heartbeats keep a connection from being idle", async (t) => {
      const impatient = await Server.start("conformance", ["--idle-timeout-ms", "1000"]);
      t.after(() => impatient.stop());
      const { socket, events, wire } = connect(t, client, impatient, { heartbeatIntervalMs: 100 });
      await join(socket, "room:not-idle");
      // Twenty of them take twice the time after which the server closes.
      for (let beat = 0; beat < 20; beat += 1) {
        await wire.take(({ received }) => received?.[2] === "phoenix");
      }
      assert.deepEqual(events.items, [{ open: true }]);
    });

    test("a server that goes down says so, and its clients find the one that takes its place", async (t) => {
      const first = await Server.start("conformance");
      const { socket, events, wire } = connect(t, client, first);
      const { channel, events: heard } = await join(socket, "room:deploy", {}, ["shout"]);
      await rejoined(wire, "room:deploy");
      await first.stop();
      const { close, reason } = await events.take(({ close }) => close);
      assert.equal(close, 1012);
      assert.match(reason, /^draining retry_ms=\d+$/);

      channel.push("shout", { n: "while down" });
      const next = await Server.start("conformance", [], first.port);
      t.after(() => next.stop());
      await rejoined(wire, "room:deploy");
      assert.deepEqual(await heard.take(({ event }) => event === "shout"), {
        event: "shout",
        payload: { n: "while down" },
      });
    });

    test("a server that dies without a word is noticed, and its successor found", async (t) => {
      const first = await Server.start("conformance");
      const { socket, events, wire } = connect(t, client, first);
      const { channel } = await join(socket, "room:power-cut");
      await rejoined(wire, "room:power-cut");
      await first.kill();
      await events.take(({ close }) => close === 1006);
      const next = await Server.start("conformance", [], first.port);
      t.after(() => next.stop());
      await rejoined(wire, "room:power-cut");
      assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
    });

    test("the params are asked for anew at each connection", async (t) => {
      let count = 0;
      const { socket, events, wire } = connect(t, client, server, {
        params: () => ({ user_id: `${client.name} ${(count += 1)}` }),
      });
      const { channel, events: heard } = await join(socket, "filtered:params", {}, ["shout"]);
      await rejoined(wire, "filtered:params");
      await disconnect(encodeURIComponent(`${client.name} 1`));
      await events.take(({ close }) => close === 1001);
      await rejoined(wire, "filtered:params");
      channel.push("shout", {});
      const { payload } = await heard.take(({ event }) => event === "shout");
      assert.equal(payload.to, `${client.name} 2`);
    });

    const withToken = client.has.authToken ? test : undefined;
    withToken?.("an auth token travels as a subprotocol, not in the URL", async (t) => {
      const { socket, events } = connect(t, client, server, { authToken: "s3cret" });
      await events.take(({ open }) => open);
      assert.equal(socket.conn.protocol, "phoenix");
      assert.ok(!socket.conn.url.includes("s3cret"));
      await join(socket, "room:auth");
    });

    withToken?.("a bad auth token is refused", async (t) => {
      let token = "bad";
      const { events } = connect(t, client, server, { authToken: () => token });
      const { error } = await events.take(({ error }) => error);
      assert.match(error, /403/);
      token = "good";
      await events.take(({ open }) => open);
    });

    test("version 1 of the protocol is spoken too", async (t) => {
      // Clients of that time wrote objects instead of arrays.
      const { socket } = connect(t, client, server, {
        vsn: "1.0.0",
        encode: (message, done) => done(JSON.stringify(message)),
        decode: (text, done) => done(JSON.parse(text)),
      });
      const { channel, events } = await join(socket, "room:v1", {}, ["shout"]);
      assert.deepEqual(await reply(channel.push("ping", { n: 1 })), { status: "ok", response: { n: 1 } });
      channel.push("shout", { n: 2 });
      assert.deepEqual(await events.take(), { event: "shout", payload: { n: 2 } });
      const { channel: refused } = listen(socket, "room:private");
      assert.deepEqual(await reply(refused.join()), { status: "error", response: { reason: "unauthorized" } });
      refused.leave();
    });
  });
}

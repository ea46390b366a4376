// Long-polling as the official client sees it, beyond what channels promise over every transport (channels.test.mjs).

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { WebSocket } from "ws";

import { clients, connect, join, pollingClients, rejoined, reply } from "../lib/client.mjs";
import { Server } from "../lib/server.mjs";

const WINDOW_MS = 400;

let server;
before(async () => {
  server = await Server.start("conformance", ["--window-ms", String(WINDOW_MS)]);
});
after(() => server.stop());

const disconnect = (userId) => fetch(server.http(`/disconnect/${userId}`), { method: "POST" });

for (const client of pollingClients) {
  describe(client.name, () => {
    test("a refused connection is an error, and the next try may be let in", async (t) => {
      let params = { token: "bad" };
      const { socket, events } = connect(t, client, server, { params: () => params });
      await events.take(({ error }) => error);
      assert.equal((await events.take(({ close }) => close)).close, 1008);
      assert.equal(socket.isConnected(), false);
      params = { token: "good" };
      await events.take(({ open }) => open);
      const { channel } = await join(socket, "room:let-in");
      assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
    });

    test("a session lasts over many windows", async (t) => {
      const { socket, events } = connect(t, client, server);
      const { channel } = await join(socket, "room:windows");
      await reply(channel.push("set", { value: 1 }));
      await reply(channel.push("slow", { ms: 4 * WINDOW_MS }));
      assert.deepEqual(await reply(channel.push("get", {})), { status: "ok", response: { value: 1 } });
      assert.deepEqual(events.items, [{ open: true }]);
    });

    test("polling and WebSocket clients hear each other", async (t) => {
      const polling = connect(t, client, server);
      const other = connect(t, clients[0], server);
      const a = await join(polling.socket, "room:mixed", {}, ["shout"]);
      const b = await join(other.socket, "room:mixed", {}, ["shout"]);
      for (const [from, n] of [[a, 1], [b, 2]]) {
        from.channel.push("shout", { n });
        for (const { events } of [a, b]) assert.deepEqual(await events.take(), { event: "shout", payload: { n } });
      }
    });

    test("a message that the client can't take is left out, and others arrive", async (t) => {
      const polling = connect(t, client, server);
      const other = connect(t, clients[0], server);
      const a = await join(polling.socket, "room:bytes", {}, ["bin_shout", "shout"]);
      const b = await join(other.socket, "room:bytes", {}, ["bin_shout"]);
      b.channel.push("bin_shout", Uint8Array.of(0, 255).buffer);
      await b.events.take();
      b.channel.push("shout", { n: 1 });
      if (client.has.binaryMessages) {
        const { event, payload } = await a.events.take();
        assert.deepEqual({ event, bytes: [...new Uint8Array(payload)] }, { event: "bin_shout", bytes: [0, 255] });
      }
      assert.deepEqual(await a.events.take(), { event: "shout", payload: { n: 1 } });
    });

    test("a forced disconnect ends the session, and the client comes back and joins again", async (t) => {
      const userId = `polled by ${client.name}`;
      const { socket, wire, events } = connect(t, client, server, { params: { user_id: userId } });
      const a = await join(socket, "room:forced", {}, ["shout"]);
      await rejoined(wire, "room:forced");
      await reply(a.channel.push("set", { value: 1 }));
      assert.equal((await disconnect(encodeURIComponent(userId))).status, 204);
      if (!client.has.sessionEnds) {
        // The old one takes the next session for the same: it only opens once more.
        await events.take(({ open }) => open);
        await events.take(({ open }) => open);
        return;
      }
      // Phoenix tells nobody why, so the official one can't be told.
      const why = client.has.binaryMessages ? { close: 1001, reason: "disconnected" } : { close: 3410, reason: "session_gone" };
      assert.deepEqual(await events.take(({ close }) => close), why);
      await rejoined(wire, "room:forced");
      a.channel.push("shout", { n: 1 });
      assert.deepEqual(await a.events.take(({ event }) => event === "shout"), { event: "shout", payload: { n: 1 } });
      assert.notEqual((await reply(a.channel.push("get", {}))).response?.value, 1);
    });

    test("a client that disconnects and connects again begins a session of its own", async (t) => {
      const { socket, events } = connect(t, client, server);
      await join(socket, "room:again");
      await events.take(({ open }) => open);
      await new Promise((resolve) => socket.disconnect(resolve));
      socket.connect();
      await events.take(({ open }) => open);
      const { channel } = await join(socket, "room:again-too");
      assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
    });
  });
}

for (const client of pollingClients.filter(({ has }) => has.sessionEnds)) describe(`${client.name}, beyond the old one`, () => {
  test("bytes that it pushes arrive", async (t) => {
    const polling = connect(t, client, server);
    const other = connect(t, clients[0], server);
    const topic = "room:bytes-pushed-é";
    const a = await join(polling.socket, topic);
    const b = await join(other.socket, topic, {}, ["bin_shout"]);
    const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
    a.channel.push("bin_shout", bytes.buffer);
    assert.deepEqual(Buffer.from((await b.events.take()).payload), Buffer.from(bytes));
  });

  test("an auth token is told in a header", async (t) => {
    const good = connect(t, client, server, { authToken: "a/b+c" });
    await good.events.take(({ open }) => open);
    const bad = connect(t, client, server, { authToken: "bad" });
    await bad.events.take(({ error }) => error);
    assert.equal((await bad.events.take(({ close }) => close)).close, 1008);
  });

  test("more messages than a batch may have arrive in order", async (t) => {
    const { socket } = connect(t, client, server);
    const { channel } = await join(socket, "room:batches");
    const numbers = Array.from({ length: 350 }, (_, n) => n);
    const answers = await Promise.all(numbers.map((n) => reply(channel.push("ping", { n }))));
    assert.deepEqual(answers.map(({ response }) => response.n), numbers);
  });

  test("a server that comes back is a new one, and the client joins again", async (t) => {
    const own = await Server.start("conformance");
    t.after(() => own.kill());
    const { socket, wire, events } = connect(t, client, own);
    const { channel } = await join(socket, "room:restart");
    await rejoined(wire, "room:restart");
    await own.kill();
    await events.take(({ close }) => close);
    const again = await Server.start("conformance", [], own.port);
    t.after(() => again.stop());
    await rejoined(wire, "room:restart");
    assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
  });

  test("a server that goes down tells the client, which finds its successor", async (t) => {
    const own = await Server.start("conformance");
    const { socket, wire, events } = connect(t, client, own);
    const { channel } = await join(socket, "room:drain");
    await rejoined(wire, "room:drain");
    await own.stop();
    await events.take(({ close }) => close);
    const again = await Server.start("conformance", [], own.port);
    t.after(() => again.stop());
    await rejoined(wire, "room:drain");
    assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
  });
});

for (const client of clients.filter(({ has }) => has.authToken)) describe(`the fallback of ${client.name}`, () => {
  /** A session's storage, as a browser has it. */
  const storage = () => {
    const items = new Map();
    return { items, getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
  };

  /** Something between client and server that lets no WebSocket through. */
  const blocked = {
    "answers otherwise": class extends WebSocket {
      constructor(url, protocols) {
        super(url.replace("/socket/websocket", "/health"), protocols);
      }
    },
    "never answers": class {
      readyState = 0;
      close() {
        this.readyState = 3;
        this.onclose?.({ code: 1006, wasClean: false });
      }
    },
  };

  for (const [way, transport] of Object.entries(blocked)) {
    test(`a WebSocket that ${way} is given up for long-polling, and that is remembered`, async (t) => {
      globalThis.XMLHttpRequest = undefined;
      const sessionStorage = storage();
      const options = { transport, longPollFallbackMs: 100, sessionStorage };
      const { socket, events } = connect(t, client, server, options);
      const { channel } = await join(socket, "room:fallback");
      assert.deepEqual(await reply(channel.push("ping", { n: 1 })), { status: "ok", response: { n: 1 } });
      assert.ok(socket.conn instanceof client.module.LongPoll);
      assert.deepEqual([...sessionStorage.items], [["phx:fallback:LongPoll", "true"]]);
      await events.take(({ open }) => open);

      const second = connect(t, client, server, options);
      await second.events.take(({ open }) => open);
      assert.ok(second.socket.conn instanceof client.module.LongPoll);
    });
  }

  test("a WebSocket that works is kept", async (t) => {
    const sessionStorage = storage();
    const { socket, events } = connect(t, client, server, { longPollFallbackMs: 2_000, sessionStorage });
    await events.take(({ open }) => open);
    await new Promise((resolve) => socket.ping(resolve));
    assert.ok(!(socket.conn instanceof client.module.LongPoll));
    assert.equal(sessionStorage.items.size, 0);
  });
});

// What a channel promises, asked by the official client: the same questions by each of its releases.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { clients, connect, join, listen, pollingClients, rejoined, reply } from "../lib/client.mjs";
import { Server } from "../lib/server.mjs";

let server;
before(async () => {
  server = await Server.start("conformance");
});
after(() => server.stop());

for (const client of [...clients, ...pollingClients]) {
  describe(client.name, () => {
    describe("joining", () => {
      test("a join is answered", async (t) => {
        const { socket } = connect(t, client, server);
        const { response } = await join(socket, "room:join");
        assert.deepEqual(response, {});
      });

      test("a join may be refused, and let in with the right params", async (t) => {
        const { socket } = connect(t, client, server);
        let params = {};
        const { channel } = listen(socket, "room:private", () => params);
        const push = channel.join();
        assert.deepEqual(await reply(push), { status: "error", response: { reason: "unauthorized" } });
        assert.equal(channel.state, "errored");
        // The client tries again by itself, and asks for the params anew.
        params = { token: "secret" };
        await new Promise((resolve) => push.receive("ok", resolve));
        assert.equal(channel.state, "joined");
      });

      test("a topic without a route is refused", async (t) => {
        const { socket } = connect(t, client, server);
        const { channel } = listen(socket, "nowhere:1");
        assert.deepEqual(await reply(channel.join()), { status: "error", response: { reason: "unmatched topic" } });
        channel.leave();
      });

      test("a join that panics is refused, and the connection lives on", async (t) => {
        const { socket } = connect(t, client, server);
        const { channel: other } = await join(socket, "room:beside-joincrash");
        const { channel } = listen(socket, "room:joincrash");
        assert.deepEqual(await reply(channel.join()), { status: "error", response: { reason: "join crashed" } });
        channel.leave();
        assert.deepEqual(await reply(other.push("ping", { n: 1 })), { status: "ok", response: { n: 1 } });
      });

      test("a slow join keeps nobody waiting but itself", async (t) => {
        const { socket, wire } = connect(t, client, server);
        const slow = listen(socket, "room:slow");
        const slowJoined = reply(slow.channel.join());
        const { channel } = await join(socket, "room:beside-slow");
        await reply(channel.push("ping", {}));
        const early = wire.items.filter(({ received }) => received?.[2] === "room:slow");
        assert.deepEqual(early, [], "room:slow was answered before the topics beside it");
        assert.equal((await slowJoined).status, "ok");
      });

      test("pushes made before the join is answered arrive after it, in order", async (t) => {
        const { socket } = connect(t, client, server);
        const { channel } = listen(socket, "room:slow");
        channel.join();
        const answers = await Promise.all([1, 2, 3].map((n) => reply(channel.push("ping", { n }))));
        assert.deepEqual(answers.map(({ response }) => response.n), [1, 2, 3]);
      });

      test("a second channel on the same topic takes the first one's place", async (t) => {
        const { socket } = connect(t, client, server);
        const first = await join(socket, "room:twice", {}, ["shout"]);
        const second = await join(socket, "room:twice", {}, ["shout"]);
        await first.events.take(({ event }) => event === "closed");
        assert.equal(first.channel.state, "closed");
        second.channel.push("shout", { n: 1 });
        assert.deepEqual(await second.events.take(), { event: "shout", payload: { n: 1 } });
        assert.deepEqual(await reply(second.channel.push("ping", { n: 2 })), { status: "ok", response: { n: 2 } });
        assert.deepEqual(first.events.items, []);
      });

      test("a hundred channels fit on a connection, one more is refused until one leaves", async (t) => {
        const { socket } = connect(t, client, server);
        const joins = Array.from({ length: 100 }, (_, n) => listen(socket, `room:cap-${n}`));
        const answers = await Promise.all(joins.map(({ channel }) => reply(channel.join())));
        assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set(["ok"]));

        const { channel } = listen(socket, "room:cap-100");
        const push = channel.join();
        assert.deepEqual(await reply(push), { status: "error", response: { reason: "too many channels joined" } });
        joins[7].channel.leave();
        await new Promise((resolve) => push.receive("ok", resolve));
        assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
      });
    });

    describe("messages", () => {
      test("a push is answered with ok and its payload", async (t) => {
        const { socket } = connect(t, client, server);
        const { channel } = await join(socket, "room:reply");
        const payload = { text: "hi", list: [1, 2.5, null, true], deep: { er: {} } };
        assert.deepEqual(await reply(channel.push("ping", payload)), { status: "ok", response: payload });
      });

      test("a push is answered with error and its payload", async (t) => {
        const { socket } = connect(t, client, server);
        const { channel } = await join(socket, "room:fail");
        assert.deepEqual(await reply(channel.push("fail", { no: 1 })), { status: "error", response: { no: 1 } });
        assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
      });

      test("an unknown event is answered with a reason, and the channel lives on", async (t) => {
        const { socket } = connect(t, client, server);
        const { channel } = await join(socket, "room:unknown");
        const { status, response } = await reply(channel.push("no_such_event", {}));
        assert.equal(status, "error");
        assert.match(response.reason, /no_such_event/);
        assert.deepEqual(await reply(channel.push("ping", { n: 1 })), { status: "ok", response: { n: 1 } });
      });

      test("a payload that doesn't fit its event is answered with a reason", async (t) => {
        const { socket } = connect(t, client, server);
        const { channel } = await join(socket, "room:misfit");
        const { status, response } = await reply(channel.push("slow", { ms: "soon" }));
        assert.equal(status, "error");
        assert.equal(typeof response.reason, "string");
        assert.deepEqual(await reply(channel.push("ping", {})), { status: "ok", response: {} });
      });

      test("shout reaches everyone on the topic, its sender too", async (t) => {
        const [alice, bob] = [connect(t, client, server), connect(t, client, server)];
        const a = await join(alice.socket, "room:shout", {}, ["shout"]);
        const b = await join(bob.socket, "room:shout", {}, ["shout"]);
        const elsewhere = await join(bob.socket, "room:shout-elsewhere", {}, ["shout"]);
        a.channel.push("shout", { text: "hello" });
        const expected = { event: "shout", payload: { text: "hello" } };
        assert.deepEqual(await a.events.take(), expected);
        assert.deepEqual(await b.events.take(), expected);
        await reply(elsewhere.channel.push("ping", {}));
        assert.deepEqual(elsewhere.events.items, [], "another topic got it");
      });

      test("whisper reaches everyone but its sender", async (t) => {
        const [alice, bob] = [connect(t, client, server), connect(t, client, server)];
        const a = await join(alice.socket, "room:whisper", {}, ["whisper"]);
        const b = await join(bob.socket, "room:whisper", {}, ["whisper"]);
        a.channel.push("whisper", { text: "psst" });
        assert.deepEqual(await b.events.take(), { event: "whisper", payload: { text: "psst" } });
        await reply(a.channel.push("ping", {}));
        assert.deepEqual(a.events.items, []);
      });

      test("push_me reaches its sender only", async (t) => {
        const [alice, bob] = [connect(t, client, server), connect(t, client, server)];
        const a = await join(alice.socket, "room:push_me", {}, ["pushed"]);
        const b = await join(bob.socket, "room:push_me", {}, ["pushed"]);
        a.channel.push("push_me", { n: 1 });
        assert.deepEqual(await a.events.take(), { event: "pushed", payload: { n: 1 } });
        await reply(b.channel.push("ping", {}));
        assert.deepEqual(b.events.items, []);
      });

      test("two channels of one connection have their own state and their own messages", async (t) => {
        const { socket } = connect(t, client, server);
        const a = await join(socket, "room:two-a", {}, ["shout"]);
        const b = await join(socket, "room:two-b", {}, ["shout"]);
        await reply(a.channel.push("set", { value: "a" }));
        await reply(b.channel.push("set", { value: "b" }));
        assert.deepEqual(await reply(a.channel.push("get", {})), { status: "ok", response: { value: "a" } });
        assert.deepEqual(await reply(b.channel.push("get", {})), { status: "ok", response: { value: "b" } });
        a.channel.push("shout", { from: "a" });
        await a.events.take();
        await reply(b.channel.push("ping", {}));
        assert.deepEqual(b.events.items, []);
      });

      test("a channel at work keeps no other channel waiting", async (t) => {
        const { socket } = connect(t, client, server);
        const busy = await join(socket, "room:busy");
        const free = await join(socket, "room:free");
        const order = [];
        const slow = reply(busy.channel.push("slow", { ms: 300 })).then(() => order.push("slow"));
        const quick = reply(free.channel.push("ping", {})).then(() => order.push("quick"));
        await Promise.all([slow, quick]);
        assert.deepEqual(order, ["quick", "slow"]);
      });

      test("an answer that comes after the client's timeout disturbs nothing", async (t) => {
        const { socket } = connect(t, client, server);
        const { channel } = await join(socket, "room:late");
        const late = channel.push("slow", { ms: 200 }, 20);
        assert.equal((await reply(late)).status, "timeout");
        assert.deepEqual(await reply(channel.push("ping", { n: 1 })), { status: "ok", response: { n: 1 } });
      });

      test("each receiver of an intercepted event gets its own version", async (t) => {
        const alice = connect(t, client, server, { params: { user_id: "alice" } });
        const bob = connect(t, client, server, { params: { user_id: "bob" } });
        const a = await join(alice.socket, "filtered:1", {}, ["shout"]);
        const b = await join(bob.socket, "filtered:1", {}, ["shout"]);
        a.channel.push("shout", { text: "hello" });
        assert.deepEqual(await a.events.take(), { event: "shout", payload: { text: "hello", to: "alice" } });
        assert.deepEqual(await b.events.take(), { event: "shout", payload: { text: "hello", to: "bob" } });
      });

      test("a broadcast from outside any channel reaches the topic", async (t) => {
        const { socket } = connect(t, client, server);
        const { events } = await join(socket, "room:outside", {}, ["news"]);
        const body = JSON.stringify({ topic: "room:outside", event: "news", payload: { n: 1 } });
        const headers = { "content-type": "application/json" };
        const response = await fetch(server.http("/broadcast"), { method: "POST", headers, body });
        assert.equal(response.status, 204);
        assert.deepEqual(await events.take(), { event: "news", payload: { n: 1 } });
      });
    });

    describe("payloads", () => {
      const { ordered, binaryMessages } = client.has;
      if (ordered) test("1,000 messages arrive in order, as replies and as broadcasts", async (t) => {
        const [alice, bob] = [connect(t, client, server), connect(t, client, server)];
        const a = await join(alice.socket, "room:thousand");
        const b = await join(bob.socket, "room:thousand", {}, ["shout"]);
        const numbers = Array.from({ length: 1_000 }, (_, n) => n);
        const replies = [];
        const answered = numbers.map((n) => {
          a.channel.push("shout", { n });
          return reply(a.channel.push("ping", { n })).then(({ response }) => replies.push(response.n));
        });
        await Promise.all(answered);
        assert.deepEqual(replies, numbers);
        const shouts = [];
        for (const _ of numbers) shouts.push((await b.events.take()).payload.n);
        assert.deepEqual(shouts, numbers);
      });

      test("1 MB passes both ways", async (t) => {
        const [alice, bob] = [connect(t, client, server), connect(t, client, server)];
        const a = await join(alice.socket, "room:large");
        const b = await join(bob.socket, "room:large", {}, ["shout"]);
        const text = "0123456789abcdef".repeat(65_536);
        const { response } = await reply(a.channel.push("ping", { text }));
        assert.ok(response.text === text, "the reply differs");
        a.channel.push("shout", { text });
        assert.ok((await b.events.take()).payload.text === text, "the broadcast differs");
      });

      test("unicode passes unharmed in topics, events and payloads", async (t) => {
        const { socket } = connect(t, client, server);
        const topic = "room:café-π-🚀";
        const a = await join(socket, topic, {}, ["shout"]);
        const payload = {
          "clé": "naïve 日本語 🏳️‍🌈 \u2028\u2029",
          controls: "\u0000\u0001\u001f\"\\/\b\f\n\r\t",
          rtl: "שלום",
        };
        assert.deepEqual(await reply(a.channel.push("ping", payload)), { status: "ok", response: payload });
        a.channel.push("shout", payload);
        assert.deepEqual(await a.events.take(), { event: "shout", payload });
        const { status, response } = await reply(a.channel.push("événement-🚀", {}));
        assert.equal(status, "error");
        assert.match(response.reason, /événement-🚀/);
      });

      if (binaryMessages) test("bytes are answered and broadcast as the same bytes", async (t) => {
        const [alice, bob] = [connect(t, client, server), connect(t, client, server)];
        const topic = client.has.unicodeInBinaryFrames ? "room:bytes-é-🚀" : "room:bytes";
        const a = await join(alice.socket, topic, {}, ["bin_shout"]);
        const b = await join(bob.socket, topic, {}, ["bin_shout"]);
        const every = Uint8Array.from({ length: 256 }, (_, n) => n);
        for (const bytes of [every, new Uint8Array(0), new Uint8Array(1_000_000).fill(0xff)]) {
          const { status, response } = await reply(a.channel.push("bin", bytes.buffer));
          assert.equal(status, "ok");
          assert.ok(Buffer.from(bytes).equals(Buffer.from(response)), `${bytes.length} bytes were answered otherwise`);
          a.channel.push("bin_shout", bytes.buffer);
          for (const { events } of [a, b]) {
            const { payload } = await events.take();
            assert.ok(Buffer.from(bytes).equals(Buffer.from(payload)), `${bytes.length} bytes were broadcast otherwise`);
          }
        }
      });
    });

    describe("the end of a channel", () => {
      test("leave closes the channel, and nothing reaches it any more", async (t) => {
        const [alice, bob] = [connect(t, client, server), connect(t, client, server)];
        const a = await join(alice.socket, "room:leave", {}, ["shout"]);
        const b = await join(bob.socket, "room:leave", {}, ["shout"]);
        const other = await join(alice.socket, "room:leave-other");
        assert.equal((await reply(a.channel.leave())).status, "ok");
        await a.events.take(({ event }) => event === "closed");
        // The server's own answer, which the client doesn't wait for.
        await alice.wire.take(({ received }) => received?.[2] === "room:leave" && received?.[3] === "phx_close");
        b.channel.push("shout", {});
        await b.events.take();
        await reply(other.channel.push("ping", {}));
        assert.ok(!alice.wire.items.some(({ received }) => received?.[3] === "shout"), "a shout came after the leave");
      });

      test("a topic that was left can be joined again", async (t) => {
        const { socket } = connect(t, client, server);
        const first = await join(socket, "room:again");
        await reply(first.channel.push("set", { value: 1 }));
        await reply(first.channel.leave());
        const second = await join(socket, "room:again");
        assert.deepEqual(await reply(second.channel.push("ping", { n: 1 })), { status: "ok", response: { n: 1 } });
      });

      test("a crash is told with its reason, and the client joins again by itself", async (t) => {
        const { socket, wire } = connect(t, client, server);
        const bystander = await join(socket, "room:beside-crash", {}, ["shout"]);
        const { channel, events } = await join(socket, "room:crash", {}, ["shout"]);
        await rejoined(wire, "room:crash");
        channel.push("crash", {});
        const told = await events.take();
        assert.deepEqual(told, { event: "error", payload: { reason: "channel_crash" } });
        await rejoined(wire, "room:crash");
        assert.equal(channel.state, "joined");
        channel.push("shout", { n: 1 });
        assert.deepEqual(await events.take(), { event: "shout", payload: { n: 1 } });
        assert.deepEqual(await reply(bystander.channel.push("ping", {})), { status: "ok", response: {} });
        assert.deepEqual(bystander.events.items, []);
      });

      test("a crash costs the channel's state, nobody else's", async (t) => {
        const { socket, wire } = connect(t, client, server);
        const kept = await join(socket, "room:kept");
        const { channel } = await join(socket, "room:lost");
        await rejoined(wire, "room:lost");
        await reply(kept.channel.push("set", { value: "kept" }));
        await reply(channel.push("set", { value: "lost" }));
        channel.push("crash", {});
        await rejoined(wire, "room:lost");
        const { response } = await reply(channel.push("get", {}));
        assert.notEqual(response?.value, "lost");
        assert.deepEqual(await reply(kept.channel.push("get", {})), { status: "ok", response: { value: "kept" } });
      });

      test("a stopped channel is closed for good", async (t) => {
        const { socket, wire } = connect(t, client, server);
        const { channel, events } = await join(socket, "room:stop");
        const other = await join(socket, "room:stop-other");
        await rejoined(wire, "room:stop");
        channel.push("stop", {});
        assert.deepEqual(await events.take(), { event: "closed" });
        assert.equal(channel.state, "closed");
        await reply(other.channel.push("ping", {}));
        assert.ok(!wire.items.some(({ sent }) => sent?.[2] === "room:stop" && sent?.[3] === "phx_join"), "it joined again");
      });

      test("a message of an earlier join is dropped", async (t) => {
        const { socket, wire } = connect(t, client, server);
        const { channel } = await join(socket, "room:stale");
        const stale = await rejoined(wire, "room:stale");
        channel.push("crash", {});
        await rejoined(wire, "room:stale");
        socket.conn.send(JSON.stringify([stale, "stale-ref", "room:stale", "ping", {}]));
        await reply(channel.push("ping", {}));
        assert.ok(!wire.items.some(({ received }) => received?.[1] === "stale-ref"), "the stale message was answered");
      });
    });
  });
}

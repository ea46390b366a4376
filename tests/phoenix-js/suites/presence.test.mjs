// Who is there, as the official client's Presence class tells it: by each of its releases.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { clients, connect, join, listen, rejoined, reply } from "../lib/client.mjs";
import { Inbox } from "../lib/inbox.mjs";
import { Server } from "../lib/server.mjs";

let server;
before(async () => {
  server = await Server.start("conformance");
});
after(() => server.stop());

for (const client of clients) {
  describe(client.name, () => {
    /** Somebody in a lobby, with the client's Presence and an inbox of its callbacks. */
    const enter = (t, topic, params) => {
      const { socket, events, wire } = connect(t, client, server, { params });
      const { channel } = listen(socket, topic);
      const presence = new client.module.Presence(channel);
      const told = new Inbox(`what ${params.user_id} is told of ${topic}`);
      presence.onJoin((key, before, now) => told.put({ joined: key, before: metas(before), now: metas(now) }));
      presence.onLeave((key, rest, gone) => told.put({ left: key, rest: metas(rest), gone: metas(gone) }));
      presence.onSync(() => told.put({ synced: presence.list((key) => key).sort() }));
      return { socket, events, wire, channel, presence, told };
    };
    const entered = async (t, topic, params) => {
      const guest = enter(t, topic, params);
      assert.deepEqual(await reply(guest.channel.join()), { status: "ok", response: {} });
      const state = await guest.wire.take(({ received }) => received?.[3] === "presence_state");
      return { ...guest, state: state.received[4], stateJoinRef: state.received[0] };
    };
    const synced = (guest, keys) => guest.told.take((it) => it.synced && it.synced.join() === [...keys].sort().join());
    const metas = (presence) => presence?.metas.map(({ typing }) => typing);
    const key = (name) => `${name}-${client.name}`;
    const topic = (name) => `lobby:${name}-${client.name}`;

    test("who joins is told who is there, itself included", async (t) => {
      const before = Math.floor(Date.now() / 1000);
      const ana = await entered(t, topic("state"), { user_id: "ana" });
      assert.deepEqual(Object.keys(ana.state), ["ana"]);
      const [meta] = ana.state.ana.metas;
      assert.deepEqual(Object.keys(meta).sort(), ["online_at", "phx_ref", "typing"]);
      assert.ok(meta.online_at >= before && meta.online_at <= before + 60);
      assert.match(meta.phx_ref, /^[A-Za-z0-9_-]{16}$/);
      assert.equal(ana.stateJoinRef, ana.channel.joinRef());
      await synced(ana, ["ana"]);
      const bob = await entered(t, topic("state"), { user_id: "bob" });
      assert.deepEqual(Object.keys(bob.state).sort(), ["ana", "bob"]);
      await synced(bob, ["ana", "bob"]);
    });

    test("all are told who comes and who leaves", async (t) => {
      const ana = await entered(t, topic("diffs"), { user_id: "ana" });
      const bob = await entered(t, topic("diffs"), { user_id: "bob" });
      await ana.told.take((it) => it.joined === "bob");
      await synced(ana, ["ana", "bob"]);
      bob.channel.leave();
      const left = await ana.told.take((it) => it.left === "bob");
      assert.deepEqual(left, { left: "bob", rest: [], gone: [false] });
      await synced(ana, ["ana"]);
    });

    test("who is gone without a word has left", async (t) => {
      const ana = await entered(t, topic("gone"), { user_id: "ana" });
      const bob = await entered(t, topic("gone"), { user_id: "bob" });
      await synced(ana, ["ana", "bob"]);
      bob.socket.conn.terminate();
      await ana.told.take((it) => it.left === "bob");
      // The client comes back by itself, is told anew who is there, and so are all others.
      await rejoined(bob.wire, topic("gone"));
      await ana.told.take((it) => it.joined === "bob");
      await synced(bob, ["ana", "bob"]);
    });

    test("an update is one diff: the new meta joins, the old one leaves", async (t) => {
      const ana = await entered(t, topic("update"), { user_id: "ana" });
      const bob = await entered(t, topic("update"), { user_id: "bob" });
      await synced(ana, ["ana", "bob"]);
      const [{ phx_ref: before }] = bob.state.bob.metas;
      assert.deepEqual(await reply(bob.channel.push("typing", { typing: true })), { status: "ok", response: {} });
      const { received } = await ana.wire.take(({ received }) => received?.[4]?.leaves?.bob);
      const { joins, leaves } = received[4];
      assert.deepEqual(received.slice(0, 4), [null, null, topic("update"), "presence_diff"]);
      assert.equal(joins.bob.metas[0].phx_ref_prev, before);
      assert.equal(leaves.bob.metas[0].phx_ref, before);
      assert.notEqual(joins.bob.metas[0].phx_ref, before);
      assert.deepEqual(await ana.told.take((it) => it.joined === "bob" && it.before), { joined: "bob", before: [false], now: [true] });
      assert.deepEqual(await ana.told.take((it) => it.left), { left: "bob", rest: [true], gone: [false] });
      assert.deepEqual(ana.presence.list((key, { metas }) => [key, metas.map(({ typing }) => typing)]).sort(), [["ana", [false]], ["bob", [true]]]);
    });

    test("one who is there twice is one key with two metas, the older one first", async (t) => {
      const watcher = await entered(t, topic("twice"), { user_id: "watcher" });
      const desk = await entered(t, topic("twice"), { user_id: "ana" });
      await reply(desk.channel.push("typing", { typing: true }));
      const phone = await entered(t, topic("twice"), { user_id: "ana" });
      assert.deepEqual(phone.state.ana.metas.map(({ typing }) => typing), [true, false]);
      await watcher.told.take((it) => it.joined === "ana" && it.before?.[0] === true);
      desk.channel.leave();
      assert.deepEqual(await watcher.told.take((it) => it.left && it.gone[0]), { left: "ana", rest: [false], gone: [true] });
      phone.socket.disconnect();
      await watcher.told.take((it) => it.left === "ana" && it.rest.length === 0);
      await synced(watcher, ["watcher"]);
    });

    test("who untracks is gone for the others and still joined", async (t) => {
      const ana = await entered(t, topic("untrack"), { user_id: "ana" });
      const bob = await entered(t, topic("untrack"), { user_id: "bob" });
      await synced(ana, ["ana", "bob"]);
      assert.deepEqual(await reply(bob.channel.push("untrack", {})), { status: "ok", response: {} });
      await ana.told.take((it) => it.left === "bob");
      assert.equal((await reply(bob.channel.push("typing", { typing: true }))).status, "error");
      assert.equal(bob.channel.state, "joined");
      await synced(bob, ["ana"]);
    });

    test("a key may be any text", async (t) => {
      const watcher = await entered(t, topic("keys"), { user_id: "watcher" });
      // What every object inherits is in the old release's way: it takes that for somebody present.
      const inherited = client.has.errorReasons ? ["constructor"] : [];
      for (const name of [...inherited, 'quo"te\\', "ключ 😀", "0"]) {
        const guest = await entered(t, topic("keys"), { user_id: name });
        await watcher.told.take((it) => it.joined === name);
        guest.channel.leave();
        await watcher.told.take((it) => it.left === name);
      }
      // The client keeps its state in plain objects, which have no room for this one; the wire has.
      for (const name of ["plain", "__proto__"]) {
        const guest = connect(t, client, server, { params: { user_id: name } });
        await join(guest.socket, topic("proto"));
        const { received } = await guest.wire.take(({ received }) => received?.[3] === "presence_state");
        assert.ok(Object.hasOwn(received[4], name));
        assert.equal(Object.getOwnPropertyDescriptor(received[4], name).value.metas.length, 1);
        assert.equal(received[4].plain.metas.length, 1);
      }
    });

    test("twenty who come and go at random agree in the end", async (t) => {
      const guests = Array.from({ length: 20 }, (_, n) => enter(t, topic("crowd"), { user_id: key(n % 8) }));
      await Promise.all(guests.map(({ channel }) => reply(channel.join())));
      const moves = guests.map(async ({ channel, socket }, n) => {
        if (n % 5 === 0) channel.leave();
        else if (n % 5 === 1) socket.conn.terminate();
        else for (const typing of [true, false, true]) await reply(channel.push("typing", { typing }));
      });
      await Promise.all(moves);
      const stay = guests.filter((_, n) => n % 5 !== 0);
      await Promise.all(stay.filter((_, n) => n % 4 === 0).map(({ wire }) => rejoined(wire, topic("crowd"))));
      const last = await entered(t, topic("crowd"), { user_id: "last" });
      const view = (presence) =>
        JSON.stringify(presence.list((key, { metas }) => [key, metas.map(({ phx_ref, typing }) => [phx_ref, typing])]).sort());
      // The server may notice after all this that a connection is gone.
      const here = () => last.presence.list((_, { metas }) => metas.length).reduce((sum, n) => sum + n, 0);
      while (here() !== 17) await last.told.take((it) => it.synced);
      for (const { presence, told } of stay) {
        while (view(presence) !== view(last.presence)) await told.take((it) => it.synced);
      }
    });
  });
}

// What an application does with the client, against a real server. The same functions run in Node and in a page of a browser,
// so they use nothing but what is handed to them.

import type * as Client from "../src/index";

/** Where a scenario runs. */
export interface Scene {
  client: typeof Client;
  /** The socket's address, and that of the server's own requests. */
  socketUrl: string;
  httpUrl: string;
  /** "WebSocket" or "LongPoll". */
  transport: string;
  options: Client.SocketOptions;
  /** Something that no other scenario has. */
  unique: string;
}

interface Room {
  push: {
    ping: { payload: { n: number }; ok: { n: number } };
    fail: { payload: { reason: string }; error: { reason: string } };
    shout: { payload: { n: number } };
    slow: { payload: { ms: number } };
    bin: { payload: ArrayBuffer | Uint8Array; ok: ArrayBuffer };
    bin_shout: { payload: ArrayBuffer | Uint8Array };
    set: { payload: unknown };
    get: { ok: unknown };
    crash: {};
    stop: {};
  };
  on: { shout: { n: number }; bin_shout: ArrayBuffer };
}

function same(found: unknown, expected: unknown, what = "what came"): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what} is ${a}, but should be ${b}`);
}

async function withSocket(scene: Scene, options: Client.SocketOptions, act: (socket: Client.Socket) => Promise<void>): Promise<void> {
  const socket = new scene.client.Socket(scene.socketUrl, { ...scene.options, ...options });
  socket.connect();
  try {
    await act(socket);
    same(socket.getLongPollTransport() === socket.conn?.constructor, scene.transport === "LongPoll", "long-polling");
  } finally {
    await socket.disconnect();
  }
}

export const scenarios: Record<string, (scene: Scene) => Promise<void>> = {
  "joins and pushes are awaited": (scene) => withSocket(scene, {}, async (socket) => {
    const room = socket.channel<Room>(`room:${scene.unique}`);
    same(await room.join(), {});
    same(await Promise.all([1, 2, 3].map((n) => room.push("ping", { n }))), [{ n: 1 }, { n: 2 }, { n: 3 }]);
    same(await room.push("fail", { reason: "as asked" }).result(), { status: "error", response: { reason: "as asked" } });
    try {
      await room.push("fail", { reason: "as asked" });
      throw new Error("it didn't fail");
    } catch (error) {
      if (!(error instanceof scene.client.PushError)) throw error;
      same([error.status, error.response.reason], ["error", "as asked"]);
    }
  }),

  "events are iterated over": (scene) => withSocket(scene, {}, async (socket) => {
    const room = socket.channel<Room>(`room:${scene.unique}`);
    const events = room.events("shout");
    room.join();
    for (let n = 1; n <= 250; n += 1) room.push("shout", { n });
    const seen: number[] = [];
    for await (const { n } of events) {
      seen.push(n);
      if (n === 250) room.leave();
    }
    same(seen, Array.from({ length: 250 }, (_, n) => n + 1));
  }),

  "bytes pass in both directions": (scene) => withSocket(scene, {}, async (socket) => {
    const room = socket.channel<Room>(`room:${scene.unique}-é`);
    await room.join();
    const events = room.events("bin_shout");
    const bytes = Uint8Array.from({ length: 70_000 }, (_, n) => n);
    const reply = await room.push("bin", bytes);
    same([...new Uint8Array(reply)], [...bytes], "the reply");
    room.push("bin_shout", bytes.subarray(250, 260));
    const { value } = await events.next();
    same([...new Uint8Array(value)], [250, 251, 252, 253, 254, 255, 0, 1, 2, 3], "the broadcast");
    same((await room.push("bin", new ArrayBuffer(0))).byteLength, 0);
  }),

  "all that is pushed goes out, in order, whatever its size": (scene) => withSocket(scene, {}, async (socket) => {
    const room = socket.channel<Room>(`room:${scene.unique}`);
    room.join();
    const large = "🚀ü".repeat(50_000);
    same(await room.push("set", { large }), {});
    const replies = await Promise.all(Array.from({ length: 350 }, (_, n) => room.push("ping", { n })));
    same(replies.map(({ n }) => n), Array.from({ length: 350 }, (_, n) => n));
    same(((await room.push("get")) as { large: string }).large === large, true);
  }),

  "who is present is known": (scene) => withSocket(scene, { params: { user_id: "ada" } }, (ada) => {
    return withSocket(scene, { params: { user_id: "__proto__" } }, async (other) => {
      const topic = `lobby:${scene.unique}`;
      const room = ada.channel(topic);
      const presence = new scene.client.Presence<{ typing: boolean }>(room);
      const synced: string[] = [];
      let heard = () => {};
      presence.onSync(() => {
        synced.push(presence.list((key, { metas }) => `${key} ${metas.map(({ typing }) => typing)}`).sort().join());
        heard();
      });
      const until = async (expected: string) => {
        while (synced.at(-1) !== expected) await new Promise<void>((resolve) => (heard = resolve));
      };
      await room.join();
      await until("ada false");
      const second = other.channel(topic);
      await second.join();
      await until("__proto__ false,ada false");
      await second.push("typing", { typing: true });
      await until("__proto__ true,ada false");
      await second.leave();
      await until("ada false");
    });
  }),

  "a forced disconnect is told, and all comes back": (scene) => {
    const user_id = `user ${scene.unique}`;
    return withSocket(scene, { params: { user_id } }, async (socket) => {
      const room = socket.channel<Room>(`room:${scene.unique}`);
      const events = room.events("shout");
      await room.join();
      const closed = new Promise<Client.Close>((resolve) => socket.onClose(resolve));
      const lost = new Promise((resolve) => room.onError(resolve));
      await fetch(`${scene.httpUrl}/disconnect/${encodeURIComponent(user_id)}`, { method: "POST", mode: "no-cors" });
      const { code, reason } = await closed;
      same([code, reason], [1001, "disconnected"]);
      same(await lost, { source: "transport", reason: "connection_closed" });
      same(await room.push("ping", { n: 1 }), { n: 1 });
      room.push("shout", { n: 2 });
      same(await events.next(), { value: { n: 2 }, done: false });
    });
  },

  "a crash is survived, a stop is the end": (scene) => withSocket(scene, {}, async (socket) => {
    const room = socket.channel<Room>(`room:${scene.unique}`);
    const events = room.events();
    await room.join();
    const lost = new Promise((resolve) => room.onError(resolve));
    room.push("crash");
    same(await lost, { reason: "channel_crash" });
    same(await room.push("ping", { n: 1 }), { n: 1 });
    room.push("stop");
    same(await events.next(), { done: true });
    same(room.state, "closed");
  }),

  "a join that is refused is tried as often as is wished": (scene) => withSocket(scene, {}, async (socket) => {
    let token = "wrong";
    const asked: unknown[] = [];
    const retryJoin = (response: unknown, tries: number) => {
      asked.push([response, tries]);
      token = tries > 1 ? "secret" : token;
      return true;
    };
    const room = socket.channel<Room>("room:private", () => ({ token }), { retryJoin });
    same(await room.join().result(), { status: "error", response: { reason: "unauthorized" } });
    same(await room.push("ping", { n: 1 }), { n: 1 });
    same(asked, [1, 2].map((tries) => [{ reason: "unauthorized" }, tries]));
    const other = socket.channel<Room>("room:private", {}, { retryJoin: () => false });
    const closed = new Promise((resolve) => other.onClose(resolve));
    same((await other.join().result()).status, "error");
    await closed;
    same(other.state, "closed");
  }),

  "a connection that is refused is an error, and tried as often as is wished": async (scene) => {
    const closes: [Client.Close, number][] = [];
    let told = () => {};
    const over = new Promise<void>((resolve) => (told = resolve));
    const socket = new scene.client.Socket(scene.socketUrl, {
      ...scene.options,
      params: { token: "bad" },
      retryConnect: (close, tries) => {
        closes.push([close, tries]);
        if (tries === 3) told();
        return tries < 3;
      },
    });
    const errors: unknown[] = [];
    socket.onError((error) => errors.push(error));
    socket.connect();
    await over;
    same(closes.map(([{ code }, tries]) => [code, tries]), [1, 2, 3].map((tries) => [scene.transport === "LongPoll" ? 1008 : 1006, tries]));
    same(errors.length, 3, "the errors");
    same(socket.isConnected(), false);
  },

  "a token reaches the server": (scene) => withSocket(scene, { authToken: "grüße, ä? >" }, async (socket) => {
    same(await socket.channel<Room>(`room:${scene.unique}`).join(), {});
  }),

  "a signal gives up what is slow": (scene) => withSocket(scene, {}, async (socket) => {
    const room = socket.channel<Room>(`room:${scene.unique}`);
    await room.join();
    const controller = new AbortController();
    const slow = room.push("slow", { ms: 300 }, { signal: controller.signal }).result();
    controller.abort();
    same((await slow).status, "aborted");
    same(await room.push("ping", { n: 1 }), { n: 1 });
  }),

  "what was said before a goodbye arrives": (scene) => withSocket(scene, {}, async (socket) => {
    const topic = `room:${scene.unique}`;
    const listener = socket.channel<Room>(topic);
    const events = listener.events("shout");
    await listener.join();
    const leaving = new scene.client.Socket(scene.socketUrl, scene.options);
    leaving.connect();
    const room = leaving.channel<Room>(topic);
    await room.join();
    room.push("shout", { n: 1 });
    await leaving.disconnect();
    same(await events.next(), { value: { n: 1 }, done: false });
  }),
};

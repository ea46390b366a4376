// The scenarios in Node, and what only a server that comes and goes can show.

import { WebSocket } from "ws";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Server } from "../../../tests/phoenix-js/lib/server.mjs";
import * as client from "../src/index";
import { scenarios } from "./scenarios";

let server: any;
beforeAll(async () => {
  server = await Server.start("conformance", ["--window-ms", "2000"]);
});
afterAll(() => server.stop());

const transports = { WebSocket: WebSocket as client.TransportClass, LongPoll: client.LongPoll as client.TransportClass };
const soon = { reconnectAfterMs: () => 20, rejoinAfterMs: () => 20 };

let count = 0;
for (const [name, transport] of Object.entries(transports)) {
  describe(`over ${name} in Node`, () => {
    for (const [what, play] of Object.entries(scenarios)) {
      test(what, () => play({
        client,
        socketUrl: server.ws("/socket"),
        httpUrl: server.http(""),
        transport: name,
        options: { transport, ...soon },
        unique: `node-${(count += 1)}`,
      }));
    }
  });
}

describe("a server that goes down", () => {
  test("says when to come back, and that is when its clients do", async () => {
    const first = await Server.start("conformance");
    // Without the server's wish this one would come back tomorrow.
    const socket = new client.Socket(first.ws("/socket"), { transport: transports.WebSocket, reconnectAfterMs: () => 86_400_000 });
    const closed = new Promise<client.Close>((resolve) => socket.onClose(resolve));
    socket.connect();
    const room = socket.channel("room:deploy");
    await room.join();
    const events = room.events("shout");
    const stopped = first.stop();
    const { code, reason } = await closed;
    const said = Date.now();
    expect(code).toBe(1012);
    const wish = Number(/^draining retry_ms=(\d+)$/.exec(reason)?.[1]);
    await stopped;
    let cameBack: (ms: number) => void = () => {};
    const back = new Promise<number>((resolve) => (cameBack = resolve));
    // It fails if the next server is slower to start than the wish is long; then the try itself is what counts.
    socket.onError(() => cameBack(Date.now() - said));
    socket.onOpen(() => cameBack(Date.now() - said));
    const next = await Server.start("conformance", [], first.port);
    try {
      const ms = await back;
      expect(ms).toBeGreaterThanOrEqual(wish - 2);
      expect(ms).toBeLessThan(wish + 5_000);
      if (socket.isConnected()) {
        room.push("shout", { n: 1 });
        expect(await events.next()).toEqual({ value: { n: 1 }, done: false });
      }
    } finally {
      await socket.disconnect();
      await next.stop();
    }
  });
});

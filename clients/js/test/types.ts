// What the types allow and what they don't. `npm run check:types` is the test: each expected error must be one.

import { type Channel, type EventStream, Presence, PushError, Socket } from "../src/index";

interface Room {
  join: { payload: { token: string }; ok: { members: number }; error: { reason: string; until: number } };
  push: {
    new_msg: { payload: { body: string }; ok: { id: number }; error: { reason: string } };
    typing: {};
    draw: { payload: ArrayBuffer };
    count: { ok: number };
  };
  on: { new_msg: { from: string; body: string }; picture: ArrayBuffer };
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<_T extends true>(): void {}

const socket = new Socket("/socket", { params: { token: "t" }, longPollFallbackMs: 2_500 });

export async function typed(): Promise<void> {
  const room = socket.channel<Room>("room:1", { token: "t" });
  socket.channel<Room>("room:1", () => ({ token: "t" }), { retryJoin: () => false });
  // @ts-expect-error: the params are of another type
  socket.channel<Room>("room:1", { token: 1 });

  const joined = await room.join();
  is<Same<typeof joined, { members: number }>>();
  room
    .join()
    .receive("ok", ({ members }) => is<Same<typeof members, number>>())
    .receive("error", ({ until }) => is<Same<typeof until, number>>())
    .receive("timeout", () => {})
    // @ts-expect-error: an "ok" has no such thing
    .receive("ok", ({ until }) => until);

  const { id } = await room.push("new_msg", { body: "hi" });
  is<Same<typeof id, number>>();
  await room.push("new_msg", { body: "hi" }, { timeout: 100, signal: AbortSignal.timeout(1) });
  room.push("typing");
  room.push("typing", {}, 100);
  room.push("draw", new ArrayBuffer(1));
  const count = await room.push("count");
  is<Same<typeof count, number>>();
  // @ts-expect-error: its payload has a body
  room.push("new_msg", { text: "hi" });
  // @ts-expect-error: its payload can't be left out
  room.push("new_msg");
  // @ts-expect-error: nothing is typing but typing
  room.push("typing", { body: "hi" });
  // @ts-expect-error: there is no such event
  room.push("new_message", { body: "hi" });

  const result = await room.push("new_msg", { body: "hi" }).result();
  if (result.status === "ok") is<Same<typeof result.response, { id: number }>>();
  if (result.status === "error") is<Same<typeof result.response, { reason: string }>>();

  room.on("new_msg", ({ from, body }) => is<Same<typeof from | typeof body, string>>());
  room.on("picture", (picture) => is<Same<typeof picture, ArrayBuffer>>());
  // @ts-expect-error: there is no such event
  room.on("new_picture", () => {});
  // @ts-expect-error: it has no such member
  room.on("new_msg", ({ text }) => text);

  for await (const message of room.events("new_msg")) is<Same<typeof message, { from: string; body: string }>>();
  for await (const { event, payload } of room.events()) {
    if (event === "new_msg") payload.body.trim();
    else is<Same<typeof payload, ArrayBuffer>>();
  }
  new Presence<{ typing: boolean }>(room).list((_, { metas }) => metas[0]?.typing satisfies boolean | undefined);

  // A channel whose join isn't described takes any params, and can push nothing.
  const other = socket.channel<{ on: { tick: number } }>("clock", { anything: 1 });
  other.on("tick", (second) => is<Same<typeof second, number>>());
  // @ts-expect-error: it can push nothing
  other.push("tick");

  const any: Channel<any> = room;
  any.push("whatever", 1);
}

export async function untyped(): Promise<void> {
  const room: Channel = socket.channel("room:1", { anything: 1 });
  const { whatever } = await room.join();
  room.push("event", [1, null]).receive("ok", (it) => it.whatever);
  room.push("event");
  room.push("event", null, 100);
  room.on("event", ({ whatever }, ref) => [whatever, ref]);
  for await (const { event, payload } of room.events()) is<Same<typeof event, string>>(), payload.whatever;
  try {
    await room.push("event");
  } catch (error) {
    if (error instanceof PushError) is<Same<typeof error.status, string>>();
  }
  return whatever;
}

export const streams: (events: EventStream<number>) => AsyncIterable<number> = (events) => events;

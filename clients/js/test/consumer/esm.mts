// The built package's types, as a module of Node's sees them.
import { type Channel, Presence, Socket } from "@bennu/client";

const socket = new Socket("/socket");
const room: Channel<{ on: { tick: number } }> = socket.channel("clock");
room.on("tick", (second) => second.toFixed());
export const presence = new Presence(room);
// @ts-expect-error: there is no such export, so these types are the package's
export type { Nothing } from "@bennu/client";

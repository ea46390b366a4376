// A socket of ours on a network that does what the test says.

import { type Channel, Socket, type SocketOptions } from "../src/index";
import { Net } from "./fake";

export function stage(options: SocketOptions = {}): { net: Net; socket: Socket } {
  const net = new Net();
  const socket = new Socket("ws://host/socket", {
    transport: net.Transport,
    reconnectAfterMs: (tries) => tries * 100,
    rejoinAfterMs: (tries) => tries * 1_000,
    ...options,
  });
  return { net, socket };
}

/** What the server says on a channel. */
export function say(net: Net, { topic }: Channel<any>, event: string, payload: unknown = {}): void {
  net.now.receive([null, null, topic, event, payload]);
}

/** How a promise ends: its value, or what it's rejected with. */
export async function outcome(promise: PromiseLike<unknown>): Promise<{ value: unknown } | { error: unknown }> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}

// From a WebSocket that doesn't get through to long-polling.

import { LongPoll } from "./longpoll";
import type { Socket } from "./socket";

/** What a socket remembers of it. */
export interface Fallback {
  store: Pick<Storage, "getItem" | "setItem"> | undefined;
  refs: string[];
  /** The first transport was good once, so a failure later isn't worth remembering. */
  passed: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** The same as npm's phoenix, so that they share what the page remembers. */
const KEY = "phx:fallback:LongPoll";

/**
 * Connects, and changes to long-polling if the connection isn't open and has answered a ping after `ms` each, or fails
 * before it opened.
 */
export function connectWithFallback(socket: Socket, ms: number): void {
  const { _fallback: state } = socket;
  const store = state.store ?? pageStore();
  clearTimeout(state.timer);
  socket.off(state.refs);
  let first = true;
  let opened = false;
  let epoch = 0;
  const isCurrent = () => first && epoch === socket._epoch && socket._wanted;
  const fallBack = (reason?: unknown) => {
    clearTimeout(state.timer);
    socket.log("transport", "falling back to LongPoll", reason);
    first = false;
    // Callbacks of the channels may have connected or disconnected.
    if (socket.replaceTransport(LongPoll) === socket._epoch) socket._open();
  };
  state.refs = [
    socket.onError((error) => {
      if (isCurrent() && !opened) fallBack(error);
    }),
    socket.onOpen(() => {
      if (!first) {
        if (socket.transport === (LongPoll as unknown) && socket._wanted && !state.passed) store?.setItem(KEY, "true");
      } else if (isCurrent()) {
        opened = true;
        clearTimeout(state.timer);
        state.timer = setTimeout(fallBack, ms);
        socket.ping(() => {
          state.passed = true;
          clearTimeout(state.timer);
        });
      }
    }),
  ];
  if (store?.getItem(KEY)) return fallBack("it was needed before");
  state.timer = setTimeout(fallBack, ms);
  socket._open();
  epoch = socket._epoch;
}

function pageStore(): Storage | undefined {
  try {
    return globalThis.sessionStorage;
  } catch {
    // A frame of another site may have none.
    return undefined;
  }
}

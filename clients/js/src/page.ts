// What happens to the page that a socket lives in.

import type { Link } from "./link";
import type { Socket } from "./socket";

/** Disconnects when the page goes into the browser's cache, comes back with it, and reconnects when it's seen again. */
export function watchPage(socket: Socket, signal: AbortSignal | undefined): void {
  const { window, document } = globalThis;
  if (!window?.addEventListener) return;
  const options = signal ? { signal } : {};
  let leftAt: number | undefined;
  let shown: Link | undefined;
  const show = () => {
    if (document?.visibilityState === "hidden") {
      shown = undefined;
    } else if (!shown?._isCurrent || !shown._isConnecting) {
      // Two events may tell of the same: the connection that the first one made is kept.
      const before = socket._link;
      socket._shown();
      if (socket._link !== before) shown = socket._link;
    }
  };
  const on = (target: EventTarget | undefined, event: string, handle: () => void) => {
    target?.addEventListener(event, handle, options);
  };
  on(window, "pagehide", () => {
    if (!socket._link?._inUse) return;
    void socket.disconnect();
    leftAt = socket._epoch;
  });
  on(window, "pageshow", () => {
    // Not if somebody connected or disconnected on purpose meanwhile.
    if (leftAt === socket._epoch) socket.connect();
    leftAt = undefined;
  });
  on(window, "visibilitychange", show);
  // Chrome doesn't always tell of the visibility of a page that it had frozen.
  on(document, "resume", show);
}

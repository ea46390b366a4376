// Retries, further and further apart.

/** Calls back after a pause that depends on how often it has called back since the last `reset`. */
export class Timer {
  tries = 0;
  private _timer: ReturnType<typeof setTimeout> | undefined;

  /** `afterMs` is given the number of the try to come, from 1 on. */
  constructor(
    private readonly _callback: () => void,
    private readonly _afterMs: (tries: number) => number,
  ) {}

  /** Starts counting anew; what was scheduled doesn't happen. */
  reset(): void {
    this.tries = 0;
    this.cancel();
  }

  /** What was scheduled doesn't happen; the count stays. */
  cancel(): void {
    clearTimeout(this._timer);
  }

  /** Schedules the next call, in place of one that is scheduled already. `ms` is for once, instead of the usual pause. */
  scheduleTimeout(ms = this._afterMs(this.tries + 1)): void {
    this.cancel();
    this._timer = setTimeout(() => {
      this.tries += 1;
      this._callback();
    }, ms);
  }
}

/**
 * Pauses as listed, then the last one for ever. Each is shortened at random by up to its share `jitter`, so that clients
 * which lost a server in the same moment don't come back in the same moment.
 */
export function backoff(listMs: readonly number[], jitter: number): (tries: number) => number {
  return (tries) => {
    const ms = listMs[Math.min(tries, listMs.length) - 1] as number;
    return ms * (1 - jitter * Math.random());
  };
}

/** What a server may ask for at most. */
const RETRY_MS_MAX = 60_000;

/** What a server that closes a connection says of when to come back: `retry_ms=250` in the reason. */
export function retryMs(reason: unknown): number | undefined {
  const found = /(?:^|\s)retry_ms=(\d+)(?:\s|$)/.exec(String(reason ?? ""));
  return found ? Math.min(Number(found[1]), RETRY_MS_MAX) : undefined;
}

/** Whether a server that closes a connection says not to come back: `retry=never` in the reason. */
export function isFinal(reason: unknown): boolean {
  return /(?:^|\s)retry=never(?:\s|$)/.test(String(reason ?? ""));
}

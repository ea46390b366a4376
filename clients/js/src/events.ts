// Events to be iterated over.

/** How to iterate. */
export interface EventsOptions {
  /** Ends the iteration by throwing the signal's reason. */
  signal?: AbortSignal | undefined;
  /** How many events may wait to be read, 1,024 by default. With one more the iteration fails, when those are read. */
  queueMax?: number | undefined;
}

const QUEUE_MAX = 1_024;

/** Events in the order they came, from the moment it was made. It ends with its channel. */
export class EventStream<T> implements AsyncIterableIterator<T> {
  private readonly _queue: T[] = [];
  private readonly _readers: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void }[] = [];
  /** @internal */
  _ended = false;
  private _errors: unknown[] = [];
  private readonly _queueMax: number;
  private readonly _signal: AbortSignal | undefined;
  private readonly _abort = () => this._end([this._signal?.reason]);

  /** @internal `stop` is called once, when it ends from this side. */
  constructor(
    { signal, queueMax = QUEUE_MAX }: EventsOptions,
    private readonly _stop: (stream: EventStream<T>) => void,
  ) {
    this._queueMax = queueMax;
    this._signal = signal;
    signal?.addEventListener("abort", this._abort);
    if (signal?.aborted) this._abort();
  }

  /** @internal */
  _put(event: T): void {
    if (this._ended) return;
    const reader = this._readers.shift();
    if (reader) reader.resolve({ value: event, done: false });
    else if (this._queue.length < this._queueMax) this._queue.push(event);
    else this._end([new Error(`more than ${this._queueMax} events wait to be read`)]);
  }

  /** @internal What is queued is still read; then comes the error, if there is one. */
  _end(errors: unknown[] = []): void {
    if (this._ended) return;
    this._ended = true;
    this._errors = errors;
    this._signal?.removeEventListener("abort", this._abort);
    this._stop(this);
    for (const { resolve, reject } of this._readers.splice(0)) this._last(resolve, reject);
  }

  next(): Promise<IteratorResult<T>> {
    return new Promise((resolve, reject) => {
      if (this._queue.length) resolve({ value: this._queue.shift() as T, done: false });
      else if (this._ended) this._last(resolve, reject);
      else this._readers.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<T>> {
    this._queue.length = 0;
    this._end();
    return this.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private _last(resolve: (result: IteratorResult<T>) => void, reject: (error: unknown) => void): void {
    if (this._errors.length) reject(this._errors.pop());
    else resolve({ value: undefined, done: true });
  }
}

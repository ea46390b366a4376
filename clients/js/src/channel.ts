// One topic of a socket.

import { EventStream, type EventsOptions } from "./events";
import { Push, type Result } from "./push";
import type { Link } from "./link";
import type { Socket } from "./socket";
import { Timer } from "./timer";
import type {
  ChannelEvents,
  EventName,
  EventPayload,
  JoinOk,
  JoinPayload,
  JoinRefused,
  PushArguments,
  PushName,
  PushOk,
  PushOptions,
  PushPayload,
  PushRefused,
  Received,
  Untyped,
} from "./types";

export type ChannelState = "closed" | "errored" | "joined" | "joining" | "leaving";

/** What a channel may be told beside its params. */
export interface ChannelOptions {
  /**
   * Whether to join again after a refusal, of which `tries` have come in a row. By default yes, like npm's phoenix, unless
   * the server's response says `final: true`. After a no the channel is closed.
   */
  retryJoin?: ((response: any, tries: number) => boolean) | undefined;
}

/** The callbacks of `on`: a reply's or push's payload, and the refs it came with. */
export type EventCallback<P> = (payload: P, ref?: string | null, joinRef?: string | null) => void;

interface Binding {
  ref: number;
  callback: EventCallback<any>;
}

/** By default only the server's `final: true` is a last word. */
const retryUnlessFinal = (response: any) => response?.final !== true;

/**
 * A conversation on one topic, made by `socket.channel`. It joins once, comes back by itself after a crash or a lost
 * connection, and keeps what is pushed meanwhile.
 */
export class Channel<E extends ChannelEvents = Untyped> {
  state: ChannelState = "closed";
  readonly params: () => JoinPayload<E>;
  readonly rejoinTimer: Timer;
  readonly joinPush: Push<JoinOk<E>, JoinRefused<E>>;
  timeout: number;
  joinedOnce = false;
  pushBuffer: Push[] = [];
  _socketRefs: string[] = [];
  /** @internal The connection that carries the join, once it was sent. */
  _link: Link | undefined;
  private readonly _bindings = new Map<string, Binding[]>();
  private _bindingRef = 0;
  private readonly _streams = new Map<EventStream<any>, string | undefined>();

  /** @internal */
  constructor(
    readonly topic: string,
    params: JoinPayload<E> | (() => JoinPayload<E>),
    readonly socket: Socket,
    { retryJoin = socket.retryJoin ?? retryUnlessFinal }: ChannelOptions = {},
  ) {
    this.params = typeof params === "function" ? (params as () => JoinPayload<E>) : () => params;
    this.timeout = socket.timeout;
    this.joinPush = new Push(this, "phx_join", this.params, this.timeout);
    this.rejoinTimer = new Timer(() => socket.isConnected() && this.rejoin(), socket.rejoinAfterMs);
    this._socketRefs.push(
      socket.onError(() => this.rejoinTimer.reset()),
      socket.onOpen(() => {
        this.rejoinTimer.reset();
        if (this.isErrored()) this.rejoin();
      }),
    );
    this.joinPush
      .receive("ok", () => {
        this.state = "joined";
        this.rejoinTimer.reset();
        this._flush();
      })
      .receive("error", (response) => {
        this.state = "errored";
        if (retryJoin(response, this.rejoinTimer.tries + 1)) return this._rejoinLater();
        // The callbacks of the refusal run first: they come with the same reply.
        queueMicrotask(() => {
          if (this.isErrored()) this.trigger("phx_close", "refused");
        });
      })
      .receive("timeout", () => {
        this._log(`timeout ${topic} (${this.joinRef()})`, this.joinPush.timeout);
        // The server may have let us in all the same.
        new Push(this, "phx_leave", () => ({}), this.timeout).send();
        this.state = "errored";
        this.joinPush.reset();
        this._rejoinLater();
      });
    this.onClose(() => {
      this._log(`close ${topic} ${this.joinRef()}`);
      this.rejoinTimer.reset();
      this.state = "closed";
      socket.remove(this);
    });
    this.onError((reason) => {
      this._log(`error ${topic}`, reason);
      if (this.isJoining()) this.joinPush.reset();
      this.state = "errored";
      this._rejoinLater();
    });
    this._on("phx_reply", (reply, ref) => this.trigger(`chan_reply_${ref}`, reply));
  }

  /**
   * Joins, and joins again whenever that is needed. The push that is returned hears of each join's reply by `receive`; an
   * `await` of it is for the first. `signal` leaves the channel. Throws when it's called twice.
   */
  join(options: number | PushOptions = {}): Push<JoinOk<E>, JoinRefused<E>> {
    if (this.joinedOnce) throw new Error(`channel ${this.topic} was joined already; a channel joins once`);
    const { timeout = this.timeout, signal } = asOptions(options);
    this.timeout = timeout;
    this.joinedOnce = true;
    // The push hears of it first, so that it's aborted and not just closed.
    this.joinPush._abortBy({ signal });
    if (signal) {
      const leave = () => this.leave();
      this.onClose(() => signal.removeEventListener("abort", leave));
      signal.addEventListener("abort", leave);
    }
    if (signal?.aborted) this.leave();
    else this.rejoin();
    return this.joinPush;
  }

  /**
   * Sends an event. Until the channel is joined it is kept, while its timeout runs. An `ArrayBuffer` or a view of one is
   * sent as bytes, anything else as JSON; nothing is sent as `{}`. Throws before `join`.
   */
  push<K extends PushName<E>>(
    event: K,
    ...[payload, options]: PushArguments<PushPayload<E, K>>
  ): Push<PushOk<E, K>, PushRefused<E, K>> {
    if (!this.joinedOnce) throw new Error(`${event} can't be pushed to ${this.topic} before its join`);
    const { timeout = this.timeout, signal } = asOptions(options);
    const push = new Push<PushOk<E, K>, PushRefused<E, K>>(this, event, () => payload ?? {}, timeout);
    push._abortBy({ signal });
    if (signal?.aborted) return push;
    if (this._canPush()) {
      push.send();
    } else {
      push._startTimeout();
      this.pushBuffer.push(push);
      // What is given up needn't be kept until the next join.
      const forget = () => {
        this.pushBuffer = this.pushBuffer.filter((other) => other !== push);
      };
      push.receive("timeout", forget).receive("aborted", forget);
    }
    return push;
  }

  /** Leaves. The answer is "ok" at once, whatever the server says later; the channel is closed, and of no more use. */
  leave(timeout = this.timeout): Push<{}, never> {
    this.rejoinTimer.reset();
    this.state = "leaving";
    const close = () => {
      this._log(`leave ${this.topic}`);
      this.trigger("phx_close", "leave");
    };
    const push = new Push<{}, never>(this, "phx_leave", () => ({}), timeout);
    push.receive("ok", close).receive("timeout", close);
    push.send();
    push.trigger("ok", {});
    return push;
  }

  /** Calls back with each event of this name. Returns a ref for `off`. */
  on<K extends EventName<E>>(
    event: K,
    callback: EventCallback<EventPayload<E, K>>,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): number {
    const ref = this._on(event, callback);
    if (signal?.aborted) this.off(event, ref);
    else signal?.addEventListener("abort", () => this.off(event, ref), { once: true });
    return ref;
  }

  /** Ends the callback with this ref, or all of the event. */
  off(event: string, ref?: number): void {
    const rest = ref === undefined ? [] : (this._bindings.get(event) ?? []).filter((binding) => binding.ref !== ref);
    if (rest.length) this._bindings.set(event, rest);
    else this._bindings.delete(event);
  }

  /**
   * What comes from now on, to be iterated over: `for await (const message of channel.events("new_msg"))`. Without a name
   * it is all events, as `{event, payload}`. It ends when the channel is closed, and goes on after a lost connection.
   */
  events<K extends EventName<E>>(event: K, options?: EventsOptions): AsyncIterableIterator<EventPayload<E, K>>;
  events(event?: undefined, options?: EventsOptions): AsyncIterableIterator<Received<E>>;
  events(event?: string, options: EventsOptions = {}): AsyncIterableIterator<any> {
    const stream = new EventStream<any>(options, (ended) => this._streams.delete(ended));
    if (this.joinedOnce && this.isClosed()) stream._end();
    if (!stream._ended) this._streams.set(stream, event);
    return stream;
  }

  /** Calls back when the channel has ended and won't come back. */
  onClose(callback: EventCallback<any>): number {
    return this._on("phx_close", callback);
  }

  /**
   * Calls back when the channel was lost and will come back: it crashed, or its connection was lost, which is
   * `{source: "transport", reason: "connection_closed"}` or the like.
   */
  onError(callback: (reason?: any) => void): number {
    return this._on("phx_error", (reason) => callback(reason));
  }

  /** To be overridden: sees every event before the callbacks do, and returns the payload for them. */
  onMessage(_event: string, payload: any, _ref?: string | null, _joinRef?: string | null): any {
    return payload;
  }

  /** @internal */
  _takes(topic: string, event: string, payload: unknown, joinRef?: string | null): boolean {
    if (topic !== this.topic) return false;
    if (!joinRef || joinRef === this.joinRef()) return true;
    this._log("dropping outdated message", { topic, event, payload, joinRef });
    return false;
  }

  /** The ref of the present join, which all its messages have. */
  joinRef(): string | null {
    return this.joinPush.ref;
  }

  /** @internal */
  rejoin(timeout = this.timeout): void {
    if (this.isLeaving()) return;
    this.socket._leaveOpen(this.topic);
    this.state = "joining";
    this._link = undefined;
    this.joinPush._resend(timeout);
  }

  /** Hands an event to the callbacks, as if it had come from the server. */
  trigger(event: string, payload?: any, ref?: string | null, joinRef?: string | null): void {
    const handled = this.onMessage(event, payload, ref, joinRef);
    if (payload && !handled) throw new Error("onMessage must return the payload, changed or not");
    for (const { callback } of this._bindings.get(event) ?? []) callback(handled, ref, joinRef || this.joinRef());
    const own = /^(phx|chan_reply)_/.test(event);
    for (const [stream, name] of [...this._streams]) {
      if (event === "phx_close") stream._end();
      else if (name === event) stream._put(handled);
      else if (name === undefined && !own) stream._put({ event, payload: handled });
    }
    if (event === "phx_close") this.joinPush._close();
  }

  isClosed(): boolean {
    return this.state === "closed";
  }

  isErrored(): boolean {
    return this.state === "errored";
  }

  isJoined(): boolean {
    return this.state === "joined";
  }

  isJoining(): boolean {
    return this.state === "joining";
  }

  isLeaving(): boolean {
    return this.state === "leaving";
  }

  private _canPush(): boolean {
    return this.socket.isConnected() && this.isJoined();
  }

  private _on(event: string, callback: EventCallback<any>): number {
    const ref = this._bindingRef++;
    // A new list, so that a dispatch that is under way goes by the old one.
    this._bindings.set(event, [...(this._bindings.get(event) ?? []), { ref, callback }]);
    return ref;
  }

  private _rejoinLater(): void {
    if (this.socket.isConnected()) this.rejoinTimer.scheduleTimeout();
  }

  private _flush(): void {
    for (const push of this.pushBuffer.splice(0)) {
      try {
        push.send();
      } catch (error) {
        // It can't be encoded, of which its caller is told; the others are sent.
        push._finish({ status: "error", response: { reason: String(error) } } as Result);
      }
    }
  }

  private _log(message: string, data?: unknown): void {
    this.socket.log("channel", message, data);
  }
}

function asOptions(options: number | PushOptions = {}): PushOptions {
  return typeof options === "number" ? { timeout: options } : options;
}

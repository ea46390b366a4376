// The connection to a server, for any number of channels.

import { Channel, type ChannelOptions } from "./channel";
import { connectWithFallback, type Fallback } from "./fallback";
import { Link, type LinkOwner, type TransportClass } from "./link";
import { LongPoll } from "./longpoll";
import { watchPage } from "./page";
import { type Message, Serializer } from "./serializer";
import { backoff, isFinal, retryMs, Timer } from "./timer";
import type { ChannelEvents, JoinPayload, Untyped } from "./types";
import { tokenProtocols, withParams } from "./url";

/** How a connection ended: a `CloseEvent`, or what looks like one. `reason` is the server's, if it gave one. */
export interface Close {
  code: number;
  reason: string;
  wasClean: boolean;
}

export interface SocketOptions {
  /** `WebSocket` where there is one, else `LongPoll`. */
  transport?: TransportClass | undefined;
  /** After how many milliseconds without a connection to try `LongPoll` instead. Off by default. */
  longPollFallbackMs?: number | undefined;
  /** Where it's remembered that long-polling was needed. The page's by default. */
  sessionStorage?: Pick<Storage, "getItem" | "setItem"> | undefined;
  /** Params for the server's `connect`; a function is asked at each connection. */
  params?: object | (() => object) | undefined;
  /** A token for the server's `connect` that stays out of the address; a function is asked at each connection. */
  authToken?: string | (() => string) | undefined;
  /** How long pushes and joins wait for a reply: 10,000 ms. */
  timeout?: number | undefined;
  /** Between an answer and the next heartbeat, and how long an answer may take: 30,000 ms. */
  heartbeatIntervalMs?: number | undefined;
  /** How long a request of long-polling may take: 20,000 ms. */
  longpollerTimeout?: number | undefined;
  /** Milliseconds until the first, second ... try to reconnect. 10, 50, 100, 150, 200, 250, 500, 1000, 2000, then 5000. */
  reconnectAfterMs?: ((tries: number) => number) | undefined;
  /** Milliseconds until the first, second ... try to join a channel again. 1000, 2000, 5000, then 10000. */
  rejoinAfterMs?: ((tries: number) => number) | undefined;
  /** By which share, at random, those of the two that aren't given are shortened at most: 0.5. */
  jitter?: number | undefined;
  /**
   * Whether to reconnect after a connection that was lost or didn't open; `tries` is which try it would be. By default
   * yes, unless the server's reason says `retry=never`. After a no, `connect` begins anew.
   */
  retryConnect?: ((close: Close, tries: number) => boolean) | undefined;
  /** What `retryJoin` of channels is where they have none. */
  retryJoin?: ChannelOptions["retryJoin"];
  /** Disconnects for good. */
  signal?: AbortSignal | undefined;
  /** Is given what happens: kind "push", "receive", "transport" or "channel". */
  logger?: ((kind: string, message: string, data?: any) => void) | undefined;
  /** Logs to the console. */
  debug?: boolean | undefined;
  /** Makes frames of messages, and the other way round, in place of `Serializer`. Not for long-polling. */
  encode?: ((message: Message, callback: (frame: any) => void) => void) | undefined;
  decode?: ((frame: any, callback: (message: Message) => void) => void) | undefined;
  /** What a WebSocket hands bytes over as: "arraybuffer". */
  binaryType?: string | undefined;
  /** The protocol's version that the server is told: "2.0.0". */
  vsn?: string | undefined;
}

type Callback = (...given: any[]) => void;
type Happening = "open" | "close" | "error" | "message";

const RECONNECT_AFTER_MS = [10, 50, 100, 150, 200, 250, 500, 1_000, 2_000, 5_000];
const REJOIN_AFTER_MS = [1_000, 2_000, 5_000, 10_000];
const JITTER = 0.5;

/** One connection, which comes back by itself from `connect` to `disconnect`. */
export class Socket implements LinkOwner {
  channels: Channel<any>[] = [];
  sendBuffer: (() => void)[] = [];
  readonly timeout: number;
  transport: TransportClass;
  readonly longPollFallbackMs: number | undefined;
  readonly heartbeatIntervalMs: number;
  readonly longpollerTimeout: number;
  readonly binaryType: string;
  readonly vsn: string;
  readonly endPoint: string;
  readonly reconnectAfterMs: (tries: number) => number;
  readonly rejoinAfterMs: (tries: number) => number;
  readonly retryJoin: ChannelOptions["retryJoin"];
  readonly reconnectTimer: Timer;
  logger: SocketOptions["logger"];
  params: () => object;
  readonly authToken: (() => string) | undefined;
  encode: NonNullable<SocketOptions["encode"]>;
  decode: NonNullable<SocketOptions["decode"]>;
  /** How many connections have opened so far. */
  establishedConnections = 0;
  private _ref = 0;
  private _callbacks: Record<Happening, [ref: string, callback: Callback][]> = { open: [], close: [], error: [], message: [] };
  private readonly _signal: AbortSignal | undefined;
  private readonly _retryConnect: NonNullable<SocketOptions["retryConnect"]>;
  /** @internal The present connection, which may be opening, closing or lost. */
  _link: Link | undefined;
  /** @internal Whether a connection is wanted, so that a lost one is replaced. */
  _wanted = false;
  /** @internal Another with every connect, disconnect and change of the transport. */
  _epoch = 1;
  /** @internal */
  readonly _fallback: Fallback;

  /** `endPoint` is `wss://example.com/socket`, `//example.com/socket` or `/socket`; the transport's path is added. */
  constructor(endPoint: string, options: SocketOptions = {}) {
    const { jitter = JITTER, params = {}, authToken } = options;
    this.timeout = options.timeout || 10_000;
    this.transport = options.transport || globalThis.WebSocket || LongPoll;
    this.longPollFallbackMs = options.longPollFallbackMs;
    this.heartbeatIntervalMs = options.heartbeatIntervalMs || 30_000;
    this.longpollerTimeout = options.longpollerTimeout || 20_000;
    this.binaryType = options.binaryType || "arraybuffer";
    this.vsn = options.vsn || "2.0.0";
    this.endPoint = `${endPoint}/websocket`;
    this.params = asFunction(params);
    this.authToken = authToken ? asFunction(authToken) : undefined;
    this.reconnectAfterMs = options.reconnectAfterMs || backoff(RECONNECT_AFTER_MS, jitter);
    this.rejoinAfterMs = options.rejoinAfterMs || backoff(REJOIN_AFTER_MS, jitter);
    this.retryJoin = options.retryJoin;
    this._retryConnect = options.retryConnect || (({ reason }) => !isFinal(reason));
    this.logger = options.logger || (options.debug ? (kind, text, data) => console.log(`${kind}: ${text}`, data) : undefined);
    const own = this.transport === (LongPoll as TransportClass) ? {} : options;
    this.encode = own.encode || Serializer.encode;
    this.decode = own.decode || Serializer.decode;
    this._fallback = { store: options.sessionStorage, refs: [], passed: false, timer: undefined };
    this.reconnectTimer = new Timer(() => {
      if (!isHidden()) return this._renew(() => this._tryAgain());
      this.log("transport", "not reconnecting while the page is hidden");
      this._teardown();
    }, this.reconnectAfterMs);
    watchPage(this, options.signal);
    this._signal = options.signal;
    this._signal?.addEventListener("abort", () => void this.disconnect(), { once: true });
  }

  /** The transport of the present connection. */
  get conn(): any {
    return this._link?._transport ?? null;
  }

  /** Connects, unless it is connected or about to be. */
  connect(params?: object | (() => object)): void {
    // Deprecated since long, but still taken.
    if (params) this.params = asFunction(params);
    if (this._link?._inUse || this._signal?.aborted) return;
    if (this.longPollFallbackMs && this.transport !== (LongPoll as TransportClass)) {
      connectWithFallback(this, this.longPollFallbackMs);
    } else {
      this._open();
    }
  }

  /** Ends the connection until the next `connect`. The promise is fulfilled, and the callback called, when it's closed. */
  disconnect(callback?: () => void, code?: number, reason?: string): Promise<void> {
    this._epoch += 1;
    this._wanted = false;
    clearTimeout(this._fallback.timer);
    this.reconnectTimer.reset();
    // The next connect needn't wait for the end of this one.
    if (this._link) this._link._ended = true;
    return new Promise((resolve) => {
      const done = () => {
        callback?.();
        resolve();
      };
      this._teardown(done, code, reason);
    });
  }

  /** Drops the connection, and uses another transport from the next `connect` on. */
  replaceTransport(transport: TransportClass): number {
    this._epoch += 1;
    const epoch = this._epoch;
    this._wanted = false;
    clearTimeout(this._fallback.timer);
    this.reconnectTimer.reset();
    // Before the channels are told: their callbacks may connect.
    this.transport = transport;
    const link = this._link;
    if (link) {
      const wasOpen = link._isOpen;
      this._link = undefined;
      link._ended = true;
      link._stopHeartbeat();
      link._close();
      if (wasOpen) this._tellChannels("connection_closed", link);
    }
    return epoch;
  }

  getLongPollTransport(): typeof LongPoll {
    return LongPoll;
  }

  /** "wss" or "ws", as the page's address asks for. */
  protocol(): "wss" | "ws" {
    return location.protocol === "https:" ? "wss" : "ws";
  }

  /** The whole address, with the params as they are now. */
  endPointURL(): string {
    const url = withParams(withParams(this.endPoint, this.params()), { vsn: this.vsn });
    if (!url.startsWith("/")) return url;
    return url.startsWith("//") ? `${this.protocol()}:${url}` : `${this.protocol()}://${location.host}${url}`;
  }

  connectionState(): "connecting" | "open" | "closing" | "closed" {
    return (["connecting", "open", "closing"] as const)[this._link?._transport.readyState ?? -1] ?? "closed";
  }

  isConnected(): boolean {
    return this.connectionState() === "open";
  }

  /** A channel for this topic; `params` are for its join, and a function is asked at each join. */
  channel<E extends ChannelEvents = Untyped>(
    topic: string,
    params: JoinPayload<E> | (() => JoinPayload<E>) = {} as JoinPayload<E>,
    options?: ChannelOptions,
  ): Channel<E> {
    const channel = new Channel<E>(topic, params, this, options);
    this.channels.push(channel);
    return channel;
  }

  /** Each of these returns a ref for `off`. */
  onOpen(callback: () => void): string {
    return this._on("open", callback);
  }

  onClose(callback: (event: any) => void): string {
    return this._on("close", callback);
  }

  onError(callback: (error: any, transport: TransportClass, establishedConnections: number) => void): string {
    return this._on("error", callback);
  }

  onMessage(callback: (message: Message) => void): string {
    return this._on("message", callback);
  }

  off(refs: string[]): void {
    for (const happening of Object.keys(this._callbacks) as Happening[]) {
      this._callbacks[happening] = this._callbacks[happening].filter(([ref]) => !refs.includes(ref));
    }
  }

  /** Calls back with the milliseconds that a round trip takes. False if there is no connection. */
  ping(callback: (ms: number) => void): boolean {
    if (!this._link || !this.isConnected()) return false;
    const ref = this.makeRef();
    const began = Date.now();
    this._link._pings.set(ref, () => callback(Date.now() - began));
    this._beat(ref);
    return true;
  }

  /** Sends a message as it is, or keeps it until there is a connection. */
  push(message: Message, channel?: Channel<any>): void {
    const { topic, event, payload, ref, join_ref } = message;
    this.log("push", `${topic} ${event} (${join_ref}, ${ref})`, payload);
    if (this.isConnected()) return this._send(message, channel);
    this.sendBuffer.push(() => {
      if (!isOutdated(message, channel)) this._send(message, channel);
    });
  }

  /** A ref that no message of this socket had so far. */
  makeRef(): string {
    this._ref = this._ref >= Number.MAX_SAFE_INTEGER ? 1 : this._ref + 1;
    return String(this._ref);
  }

  log(kind: string, message: string, data?: unknown): void {
    this.logger?.(kind, message, data);
  }

  hasLogger(): boolean {
    return !!this.logger;
  }

  /** @internal */
  remove(channel: Channel<any>): void {
    this.off(channel._socketRefs);
    this.channels = this.channels.filter((other) => other !== channel);
  }

  /** @internal A topic has one channel at a time. */
  _leaveOpen(topic: string): void {
    const open = this.channels.find((channel) => channel.topic === topic && (channel.isJoined() || channel.isJoining()));
    if (!open) return;
    this.log("transport", `leaving duplicate topic "${topic}"`);
    open.leave();
  }

  /** @internal The page can be seen again. */
  _shown(): void {
    if (this._wanted && !this.isConnected()) {
      // What was scheduled would end the connection that is made here.
      this.reconnectTimer.reset();
      this._renew(() => this.connect());
    }
  }

  /** @internal Makes a connection, whatever there was. */
  _open(): void {
    const previous = this._link;
    this._epoch += 1;
    this._wanted = true;
    this.reconnectTimer.cancel();
    const protocols = this.authToken && tokenProtocols(this.authToken());
    const transport = new this.transport(this.endPointURL(), protocols);
    transport.binaryType = this.binaryType;
    transport.timeout = this.longpollerTimeout;
    this._link = new Link(this, transport, this.heartbeatIntervalMs);
    // One that has ended may still be sending what it had.
    if (previous?._isOpen) this._tellChannels("connection_closed", previous);
  }

  /** @internal */
  _opened(link: Link): void {
    this.log("transport", `connected to ${this.endPoint}`);
    this._wanted = true;
    this.establishedConnections += 1;
    for (const send of this.sendBuffer.splice(0)) send();
    this.reconnectTimer.reset();
    link._startHeartbeat();
    this._tell("open");
  }

  /** @internal */
  _failed(link: Link, error: unknown): void {
    this.log("transport", "error", error);
    this._tell("error", error, this.transport, this.establishedConnections);
    this._tellChannels("connection_error", link);
  }

  /** @internal */
  _received(link: Link, { data }: { data: any }): void {
    const wasOpen = link._isOpen;
    let decoded = false;
    try {
      this.decode(data, (message) => {
        decoded = true;
        // A decoder may take its time.
        if (link._isCurrent && (link._isOpen || !wasOpen)) this._dispatch(link, message);
      });
    } catch (error) {
      // What callbacks throw is theirs; a frame that is no message concerns nobody else.
      if (decoded) throw error;
      this.log("transport", "dropping a frame that is no message", error);
      this._tell("error", error, this.transport, this.establishedConnections);
    }
  }

  /** @internal */
  _closed(link: Link, event: Close): void {
    this.log("transport", "close", event);
    this._tellChannels("connection_closed", link);
    if (link._inUse && !link._closing && this._wanted) {
      if (this._retryConnect(event, this.reconnectTimer.tries + 1)) {
        this.reconnectTimer.scheduleTimeout(retryMs(event.reason));
      } else {
        this._wanted = false;
        link._ended = true;
        this.reconnectTimer.reset();
      }
    }
    this._tell("close", event);
  }

  /** @internal */
  _unanswered(link: Link): void {
    this.log("transport", "heartbeat timeout");
    // It's taken for dead, so nobody waits for what it still had to send. Callbacks may disconnect, or connect anew.
    link._close(1_000, "heartbeat timeout");
    if (link._inUse) this._tellChannels("heartbeat_timeout", link);
    if (link._inUse) this._renew(() => this.reconnectTimer.scheduleTimeout());
  }

  /** @internal */
  _beat(ref = this.makeRef()): string {
    this.push({ topic: "phoenix", event: "heartbeat", payload: {}, ref });
    return ref;
  }

  private _dispatch(link: Link, message: Message): void {
    const { topic, event, payload, ref, join_ref } = message;
    link._answered(ref);
    this.log("receive", `${payload?.status || ""} ${topic} ${event} ${ref ? `(${ref})` : ""}`, payload);
    for (const channel of [...this.channels]) {
      if (channel._takes(topic, event, payload, join_ref)) channel.trigger(event, payload, ref, join_ref);
    }
    this._tell("message", message);
    link._ponged(ref);
  }

  private _send(message: Message, channel?: Channel<any>): void {
    const link = this._link;
    if (!link) return;
    if (channel && message.event === "phx_join") channel._link = link;
    this.encode(message, (frame) => {
      // An encoder may take its time. A leave matters to the server though the channel is gone.
      if (!link._isCurrent || !link._isOpen) return;
      if (message.event === "phx_leave" || !isOutdated(message, channel)) link._transport.send(frame);
    });
  }

  /** Ends the present connection, and then does what is to follow, unless somebody else decided otherwise meanwhile. */
  private _renew(then: () => void): void {
    const { _epoch: epoch, _link: link } = this;
    this._teardown(() => {
      if (epoch === this._epoch && !link?._ended) then();
    });
  }

  private _tryAgain(): void {
    try {
      this.connect();
    } catch (error) {
      // The params, say, can't be had just now.
      this._tell("error", error, this.transport, this.establishedConnections);
      this.reconnectTimer.scheduleTimeout();
    }
  }

  private _teardown(done?: () => void, code?: number, reason?: string): void {
    const link = this._link;
    if (!link) return done?.();
    link._stopHeartbeat();
    link._whenDrained(() => {
      if (!link._closing) {
        const hadOpened = !link._isConnecting;
        link._close(code, reason);
        if (hadOpened) this._tellChannels("connection_closed", link);
      }
      link._whenClosed(() => {
        if (link._isCurrent) this._link = undefined;
        done?.();
      });
    });
  }

  /** Channels that this connection carried, or would have, are lost with it. */
  private _tellChannels(reason: string, link: Link): void {
    // The second time it concerns those alone that have joined over it since: in a callback of the first.
    const carriedOnly = link._told || !link._isCurrent;
    link._told ||= !link._isOpen;
    const joins = this.channels.map((channel) => [channel, channel.joinRef()] as const);
    for (const [channel, joinRef] of joins) {
      // An earlier one's callback may have joined this one again.
      if (channel.joinRef() !== joinRef || (carriedOnly && channel._link !== link)) continue;
      if (channel.isJoined() || channel.isJoining()) channel.trigger("phx_error", { source: "transport", reason });
    }
  }

  private _on(happening: Happening, callback: Callback): string {
    const ref = this.makeRef();
    this._callbacks[happening].push([ref, callback]);
    return ref;
  }

  private _tell(happening: Happening, ...what: unknown[]): void {
    for (const [, callback] of [...this._callbacks[happening]]) callback(...what);
  }
}

/** Whether a message is of an earlier join than its channel's present one. */
function isOutdated(message: Message, channel?: Channel<any>): boolean {
  return !!channel && (message.join_ref !== channel.joinRef() || channel.isClosed());
}

function isHidden(): boolean {
  return globalThis.document?.visibilityState === "hidden";
}

function asFunction<T>(value: T | (() => T)): () => T {
  return typeof value === "function" ? (value as () => T) : () => value;
}

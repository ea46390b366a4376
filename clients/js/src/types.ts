// What a channel's events are, as types. Nothing of this is there when the program runs.

/** What is sent, and what it is answered. What isn't given may be anything, and a payload that isn't given is empty. */
export interface Exchange {
  payload?: unknown;
  ok?: unknown;
  error?: unknown;
}

/**
 * The events of a channel, for `socket.channel<Room>("room:1")`:
 *
 *     interface Room {
 *       join: { payload: { token: string }; ok: { members: number } };
 *       push: { new_msg: { payload: { body: string }; ok: { id: number } }; typing: {} };
 *       on: { new_msg: { from: string; body: string }; picture: ArrayBuffer };
 *     }
 */
export interface ChannelEvents {
  /** The join's params and replies; anything, if it isn't given. */
  join?: Exchange;
  /** What may be pushed: an `Exchange` for each event. */
  push?: object;
  /** What the server sends: a payload for each event. */
  on?: object;
}

/** Any event with any payload: what a channel has that was given no types. */
export interface Untyped {
  join: { payload: any; ok: any; error: any };
  push: Record<string, { payload: any; ok: any; error: any }>;
  on: Record<string, any>;
}

/** What Bennu's and Phoenix's own refusals look like. */
export interface Refused {
  reason?: string;
  /** There is no use in trying again. */
  final?: boolean;
  [more: string]: unknown;
}

// Of `any`, everything is any.
type Field<T, Name extends PropertyKey, Otherwise> = Name extends keyof T ? T[Name] : Otherwise;
type Nothing = Record<string, never>;

type Pushed<E, K extends string> = Field<Field<E, "push", {}>, K, {}>;

export type PushName<E> = keyof Field<E, "push", {}> & string;
export type PushPayload<E, K extends string> = Field<Pushed<E, K>, "payload", Nothing>;
export type PushOk<E, K extends string> = Field<Pushed<E, K>, "ok", unknown>;
export type PushRefused<E, K extends string> = Field<Pushed<E, K>, "error", Refused>;

export type JoinPayload<E> = Field<Field<E, "join", Untyped["join"]>, "payload", Nothing>;
export type JoinOk<E> = Field<Field<E, "join", Untyped["join"]>, "ok", unknown>;
export type JoinRefused<E> = Field<Field<E, "join", Untyped["join"]>, "error", Refused>;

export type EventName<E> = keyof Field<E, "on", {}> & string;
export type EventPayload<E, K extends string> = Field<Field<E, "on", {}>, K, never>;

/** An event with its name. Of a channel with types it is one of those, so that `event` tells what `payload` is. */
export type Received<E> = { [K in EventName<E>]: { event: K; payload: EventPayload<E, K> } }[EventName<E>];

/** Arguments in which the payload may be left out if it may be empty. */
export type PushArguments<P> = {} extends P
  ? [payload?: P | undefined, options?: number | PushOptions]
  : [payload: P, options?: number | PushOptions];

/** How long to wait for a reply, and by what to give it up. */
export interface PushOptions {
  /** Milliseconds; the channel's by default. */
  timeout?: number | undefined;
  /** What isn't sent yet isn't sent any more; a reply to what is sent isn't waited for. */
  signal?: AbortSignal | undefined;
}

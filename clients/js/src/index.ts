// @bennu/client: sockets, channels and presence of Bennu and Phoenix servers.

export { Channel, type ChannelOptions, type ChannelState, type EventCallback } from "./channel";
export type { EventsOptions, EventStream } from "./events";
export type { Transport, TransportClass } from "./link";
export { LongPoll } from "./longpoll";
export {
  type Diff,
  type Entry,
  type JoinCallback,
  type LeaveCallback,
  type Meta,
  Presence,
  type PresenceOptions,
  type State,
} from "./presence";
export { Push, PushError, type Result } from "./push";
export { type Message, Serializer } from "./serializer";
export { type Close, Socket, type SocketOptions } from "./socket";
export { Timer } from "./timer";
export type {
  ChannelEvents,
  EventName,
  EventPayload,
  Exchange,
  JoinOk,
  JoinPayload,
  JoinRefused,
  PushName,
  PushOk,
  PushOptions,
  PushPayload,
  PushRefused,
  Received,
  Refused,
  Untyped,
} from "./types";

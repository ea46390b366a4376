// Who is there, as the server tells.

import type { Channel } from "./channel";

/** One being there: a tab, a device. */
export type Meta<M = any> = M & { phx_ref: string; phx_ref_prev?: string };
/** All of one key's, and whatever else the server says of it. */
export interface Entry<M = any> {
  metas: Meta<M>[];
  [more: string]: any;
}
/** By key. */
export type State<M = any> = Record<string, Entry<M>>;
export interface Diff<M = any> {
  joins: State<M>;
  leaves: State<M>;
}

/** Who came or went: `current` is what was there before a join, or is left after a leave. */
export type JoinCallback<M = any> = (key: string, current: Entry<M> | undefined, joined: Entry<M>) => void;
export type LeaveCallback<M = any> = (key: string, current: Entry<M>, left: Entry<M>) => void;

export interface PresenceOptions {
  events?: { state: string; diff: string };
}

/** Keeps the presences of a channel's topic as the server has them. */
export class Presence<M = any> {
  state: State<M> = empty();
  joinRef: string | null = null;
  private _pending: Diff<M>[] = [];
  private _joined: JoinCallback<M> | undefined;
  private _left: LeaveCallback<M> | undefined;
  private _synced: (() => void) | undefined;

  constructor(
    readonly channel: Channel<any>,
    { events = { state: "presence_state", diff: "presence_diff" } }: PresenceOptions = {},
  ) {
    channel.on(events.state, (state: State<M>) => {
      this.joinRef = channel.joinRef();
      this.state = Presence.syncState(this.state, state, this._joined, this._left);
      for (const diff of this._pending.splice(0)) this._apply(diff);
      this._synced?.();
    });
    channel.on(events.diff, (diff: Diff<M>) => {
      // A diff of this join may come before its state, which then may tell the same again.
      if (this.inPendingSyncState()) {
        this._pending.push(diff);
      } else {
        this._apply(diff);
        this._synced?.();
      }
    });
  }

  /** Calls back for each key that came, or came once more. */
  onJoin(callback: JoinCallback<M>): void {
    this._joined = callback;
  }

  /** Calls back for each key that went, or went once: with the last, `current.metas` is empty. */
  onLeave(callback: LeaveCallback<M>): void {
    this._left = callback;
  }

  /** Calls back when all of what the server said is applied. */
  onSync(callback: () => void): void {
    this._synced = callback;
  }

  /** Everybody, or what `by` makes of each. */
  list(): Entry<M>[];
  list<T>(by: (key: string, entry: Entry<M>) => T): T[];
  list<T>(by?: (key: string, entry: Entry<M>) => T): (T | Entry<M>)[] {
    return Presence.list(this.state, by as (key: string, entry: Entry<M>) => T);
  }

  /** Whether the state of the present join is still to come. */
  inPendingSyncState(): boolean {
    return !this.joinRef || this.joinRef !== this.channel.joinRef();
  }

  /** The new state in place of the present one; the callbacks are told the difference. Returns it. */
  static syncState<M>(current: State<M>, next: State<M>, joined?: JoinCallback<M>, left?: LeaveCallback<M>): State<M> {
    const state = own(copy(current));
    const wanted = own(next);
    const diff: Diff<M> = { joins: empty(), leaves: empty() };
    for (const key of Object.keys(state)) {
      if (!wanted[key]) diff.leaves[key] = state[key] as Entry<M>;
    }
    for (const [key, entry] of Object.entries(wanted)) {
      const present = state[key];
      const fresh = without(entry, present);
      const gone = without(present, entry);
      if (!present || fresh.length) diff.joins[key] = { ...entry, metas: fresh };
      if (gone.length) diff.leaves[key] = { ...copy(present as Entry<M>), metas: gone };
    }
    return Presence.syncDiff(state, diff, joined, left);
  }

  /** Applies what came and went. Returns the state, which is changed in place if it has no prototype. */
  static syncDiff<M>(state: State<M>, diff: Diff<M>, joined?: JoinCallback<M>, left?: LeaveCallback<M>): State<M> {
    const result = own(state);
    const { joins, leaves } = copy(diff);
    for (const [key, entry] of Object.entries(own(joins))) {
      const present = result[key];
      const added = copy(entry);
      // Those that were there come first.
      added.metas = [...without(present, added), ...added.metas];
      result[key] = added;
      joined?.(key, present, entry);
    }
    for (const [key, entry] of Object.entries(own(leaves))) {
      const present = result[key];
      if (!present) continue;
      present.metas = without(present, entry);
      left?.(key, present, entry);
      if (!present.metas.length) delete result[key];
    }
    return result;
  }

  /** What `by` makes of each key's entry: by default the entry. */
  static list<M, T = Entry<M>>(state: State<M>, by?: (key: string, entry: Entry<M>) => T): T[] {
    return Object.entries(state).map(([key, entry]) => (by ? by(key, entry) : (entry as T)));
  }

  private _apply(diff: Diff<M>): void {
    this.state = Presence.syncDiff(this.state, diff, this._joined, this._left);
  }
}

/** The metas of the one that the other hasn't. */
function without<M>(entry: Entry<M> | undefined, other: Entry<M> | undefined): Meta<M>[] {
  const refs = new Set(other?.metas.map((meta) => meta?.phx_ref));
  return entry?.metas.filter((meta) => !refs.has(meta?.phx_ref)) ?? [];
}

/** What isn't JSON's is lost, and of nothing it is an empty object. */
function copy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value ?? {}));
}

function empty<M>(): State<M> {
  return Object.create(null);
}

/**
 * With keys alone: servers' users choose them, and `__proto__` or `constructor` are as good as any. What is no entry isn't
 * taken.
 */
function own<M>(state: State<M> | undefined): State<M> {
  if (state && Object.getPrototypeOf(state) === null) return state;
  const result = empty<M>();
  for (const [key, entry] of Object.entries(state ?? {})) {
    if (Array.isArray(entry?.metas)) result[key] = entry;
  }
  return result;
}

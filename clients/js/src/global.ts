// The build for pages without modules: all of it as the global `Bennu`.

import { Channel, LongPoll, Presence, Push, PushError, Serializer, Socket, Timer } from "./index";

(globalThis as { Bennu?: object }).Bennu = { Channel, LongPoll, Presence, Push, PushError, Serializer, Socket, Timer };

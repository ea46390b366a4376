//! A callback that runs, and a panic in it.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bennu_wire::ChannelId;

use super::live::Ran;

/// A running callback of a channel.
pub(crate) type Run<S> = Pin<Box<dyn Future<Output = Ran<S>> + Send>>;

/// A callback panicked. Its future is gone, and the channel with it.
#[derive(Debug)]
pub(crate) struct Panicked;

/// A callback that didn't end at once, beside others of its connection.
pub(crate) struct Running<S> {
    id: ChannelId,
    run: Option<Run<S>>,
}

impl<S> Running<S> {
    pub(crate) fn new(id: ChannelId, run: Run<S>) -> Self {
        Self { id, run: Some(run) }
    }
}

impl<S> Future for Running<S> {
    type Output = (ChannelId, Result<Ran<S>, Panicked>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.id;
        let Some(run) = &mut self.run else {
            return Poll::Pending;
        };
        poll(run, cx).map(|ran| {
            if ran.is_err() {
                discard(self.run.take());
            }
            (id, ran)
        })
    }
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        discard(self.run.take());
    }
}

/// Polls a callback; a panic is caught and has been reported by the panic hook.
pub(crate) fn poll<S>(run: &mut Run<S>, cx: &mut Context<'_>) -> Poll<Result<Ran<S>, Panicked>> {
    match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => {
            discard(panic);
            Poll::Ready(Err(Panicked))
        }
    }
}

/// Calls user code that isn't a future.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic: Box<dyn Any + Send>| {
        discard(panic);
        Panicked
    })
}

/// Drops a value of the user's: its `Drop` may panic as well.
pub(crate) fn discard(value: impl Sized) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // What was thrown may throw when it's dropped, too. Twice is enough for anyone.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    }
}

//! What every transport asks before it lets a client in.

use std::{future::Future, sync::Arc};

use bennu_wire::{Serializer, VsnError};
use serde::de::DeserializeOwned;

use crate::{
    ConnectInfo, RawSocket, Result, Routes, Socket,
    runtime::{Channels, Conn, Driver, Raw},
};

/// Makes sockets of clients: of those with channels, or of raw ones.
pub(crate) trait Accept: Send + Sync + 'static {
    type Params: DeserializeOwned + Send;
    type Socket: Send;
    type Driver: Driver;

    /// Which serializer the client speaks.
    fn negotiate(&self, vsn: Option<&str>) -> Result<Serializer, VsnError>;

    /// Asks the user.
    fn connect(
        &self,
        params: Self::Params,
        info: &ConnectInfo,
    ) -> impl Future<Output = Result<Self::Socket>> + Send;

    fn driver(&self, socket: Self::Socket, conn: &Arc<Conn>) -> Self::Driver;
}

pub(crate) struct ChannelSockets<S: Socket> {
    pub(crate) app: Arc<S::App>,
    pub(crate) routes: Arc<Routes<S>>,
}

impl<S: Socket> Accept for ChannelSockets<S> {
    type Params = S::Params;
    type Socket = S;
    type Driver = Channels<S>;

    fn negotiate(&self, vsn: Option<&str>) -> Result<Serializer, VsnError> {
        Serializer::negotiate(vsn)
    }

    async fn connect(&self, params: S::Params, info: &ConnectInfo) -> Result<S> {
        S::connect(&self.app, params, info).await
    }

    fn driver(&self, socket: S, conn: &Arc<Conn>) -> Channels<S> {
        Channels::new(socket, self.routes.clone(), conn)
    }
}

pub(crate) struct RawSockets<R: RawSocket> {
    pub(crate) app: Arc<R::App>,
}

impl<R: RawSocket> Accept for RawSockets<R> {
    type Params = R::Params;
    type Socket = R;
    type Driver = Raw<R>;

    /// Nothing is serialized, so every version will do.
    fn negotiate(&self, _: Option<&str>) -> Result<Serializer, VsnError> {
        Ok(Serializer::V2)
    }

    async fn connect(&self, params: R::Params, info: &ConnectInfo) -> Result<R> {
        R::connect(&self.app, params, info).await
    }

    fn driver(&self, socket: R, conn: &Arc<Conn>) -> Raw<R> {
        Raw::new(socket, conn)
    }
}

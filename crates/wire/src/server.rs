//! The socket: connections, their number, and the time and the memory that each may take.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use crate::{
    client::WireClient,
    front::{UNIT, WireFront},
    lobby::Expelled,
    message::{HEADER, LARGEST, MalformedMessage, MessageHeader, WireRequest},
};

/// A client that has to prove itself has so long for it.
const PROOF: Duration = Duration::from_secs(30);
/// From its first byte to its last, a message may take so long; so may an answer.
const TRANSFER: Duration = Duration::from_secs(60);
/// How often cursors that nobody asks for are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// Bytes of a message of who has proved nothing: what saying hello and proving take, many times over.
const UNTRUSTED: usize = 64 << 10;
/// Up to this length a message needs no room.
const SMALL: usize = 64 << 10;
/// Larger messages are read by a thread of their own.
const LARGE: usize = 1 << 20;
/// Bytes that are read at once, so that a sender's word for a length takes no memory.
const CHUNK: usize = 256 << 10;

impl WireFront {
    /// Answers clients until `stop` resolves; what is under way then is given up.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(());
        tokio::pin!(stop);
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = sweep.tick() => {
                    self.0.cursors.sweep();
                    continue;
                }
                () = &mut stop => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                // Out of descriptors, or a client that was gone at once: the listener itself is well.
                Err(error) => {
                    tracing::warn!(%error, "a connection to the database could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let front = self.clone();
            let mut stopped = stopped.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = front.connection(stream, peer) => {}
                    _ = stopped.changed() => {}
                }
            });
        }
        drop(stopping);
    }

    async fn connection(&self, mut stream: TcpStream, peer: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        // Answers leave at once; a failure here only costs speed.
        let _ = stream.set_nodelay(true);
        let mut client = self.client(peer, local);
        let ended = match self.serve_client(&mut client, &mut stream).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        match ended {
            Ended::Closed => {}
            Ended::MalformedMessage(error) => {
                tracing::warn!(%peer, %error, "a client of the database was cut off")
            }
            Ended::Slow => tracing::debug!(%peer, "a client of the database was too slow"),
            Ended::Expelled => {
                tracing::debug!(%peer, "a client of the database that had proved nothing made room for another")
            }
            Ended::Full => {
                tracing::warn!(%peer, "as many clients of the database are connected as may be: one was turned away")
            }
            Ended::Failed(error) => {
                tracing::debug!(%peer, %error, "a connection of the database failed")
            }
        }
    }

    /// Lets a client prove itself, which takes a place of the few for that, and answers it from a seat then.
    async fn serve_client(
        &self,
        client: &mut WireClient,
        stream: &mut TcpStream,
    ) -> Result<Infallible, Ended> {
        if !client.is_trusted() {
            let (_place, expelled) = self.0.lobby.enter();
            let proved = timeout(PROOF, async {
                while !client.is_trusted() {
                    self.exchange(client, stream).await?;
                }
                Ok::<_, Ended>(())
            });
            tokio::select! {
                proved = proved => proved.map_err(|_| Ended::Slow)??,
                Expelled = expelled => return Err(Ended::Expelled),
            }
        }
        let _seat = self.0.seats.try_acquire().map_err(|_| Ended::Full)?;
        loop {
            self.exchange(client, stream).await?;
        }
    }

    /// Takes one message and answers it.
    async fn exchange(&self, client: &mut WireClient, stream: &mut TcpStream) -> Result<(), Ended> {
        let mut head = [0; HEADER];
        if stream.read(&mut head[..1]).await? == 0 {
            return Err(Ended::Closed);
        }
        let most = if client.is_trusted() { LARGEST } else { UNTRUSTED };
        let (body, held) = timeout(TRANSFER, async {
            stream.read_exact(&mut head[1..]).await?;
            let length = MessageHeader::read(&head)?.body;
            if length > most {
                return Err(Ended::MalformedMessage(MalformedMessage::Foreign));
            }
            let held = self.hold(length).await;
            let mut body = Vec::with_capacity(length.min(CHUNK));
            while body.len() < length {
                let chunk = (length - body.len()).min(CHUNK);
                let read = (&mut *stream).take(chunk as u64).read_to_end(&mut body).await?;
                if read == 0 {
                    return Err(Ended::Closed);
                }
            }
            Ok((body, held))
        })
        .await
        .map_err(|_| Ended::Slow)??;
        let header = MessageHeader::read(&head)?;
        let (weighed, body) = if body.len() <= SMALL {
            (Ok(0), body)
        } else if body.len() <= LARGE {
            (WireRequest::weigh(&head, &body), body)
        } else {
            let weigh = move || (WireRequest::weigh(&head, &body), body);
            let weighed = tokio::task::spawn_blocking(weigh);
            weighed.await.map_err(|error| Ended::Failed(error.into()))?
        };
        // Waited for while the message has its room: who has this has both, and comes to an end.
        let decoded = self.hold_decoded(*weighed.as_ref().unwrap_or(&0)).await;
        let (read, body) = match weighed {
            Err(error) => (Err(error), body),
            Ok(_) if body.len() > LARGE => {
                let read = move || (WireRequest::read(&head, &body), body);
                let read = tokio::task::spawn_blocking(read);
                read.await.map_err(|error| Ended::Failed(error.into()))?
            }
            Ok(_) => (WireRequest::read(&head, &body), body),
        };
        let answer = match read {
            Ok(request) => {
                drop(body);
                // What a read would find is for nobody then; what writes ends by itself.
                let is_read = request.is_read();
                tokio::select! {
                    answer = client.answer(request) => answer,
                    () = closed(stream), if is_read => return Err(Ended::Closed),
                }
            }
            Err(error) if error.is_of_documents() => client.refuse(&header, &body, &error),
            Err(error) => return Err(error.into()),
        };
        if let Some(answer) = answer {
            timeout(TRANSFER, stream.write_all(&answer))
                .await
                .map_err(|_| Ended::Slow)??;
        }
        drop((held, decoded));
        Ok(())
    }

    /// Waits for room for a large message.
    async fn hold(&self, length: usize) -> Option<OwnedSemaphorePermit> {
        acquire(&self.0.room, length).await
    }

    /// Waits for room for what a large message is when it is read.
    async fn hold_decoded(&self, weight: usize) -> Option<OwnedSemaphorePermit> {
        acquire(&self.0.decoded, weight).await
    }
}

/// Ends when the client has closed the connection. Nobody is told of that once more has been sent.
async fn closed(stream: &TcpStream) {
    match stream.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

/// Waits for so many bytes; small messages need none.
async fn acquire(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    if bytes <= SMALL {
        return None;
    }
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
    Arc::clone(room).acquire_many_owned(units).await.ok()
}

/// Why a connection ends.
enum Ended {
    /// By the client.
    Closed,
    MalformedMessage(MalformedMessage),
    Slow,
    /// It had proved nothing, and another one came.
    Expelled,
    /// There was no seat for it.
    Full,
    Failed(std::io::Error),
}

impl From<MalformedMessage> for Ended {
    fn from(error: MalformedMessage) -> Self {
        Self::MalformedMessage(error)
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

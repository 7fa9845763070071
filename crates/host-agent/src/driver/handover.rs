//! Images for a runtime that keeps its own (Docker): what this host has pulled, loaded or built is
//! handed over as an archive, on its way from one store into the other and never in a file between.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use host_images::{Image, Reference};
use tokio::sync::mpsc;

use super::{Driver, reason};
use crate::engine::Failure;

/// Bytes of an archive that go at once, and how many such pieces wait.
const PIECE: usize = 256 << 10;
const WAITING: usize = 4;

impl Driver {
    /// What the runtime calls an image that a definition calls so.
    pub(super) fn name_for_runtime(&self, image: &Image, named: &str) -> String {
        match self.runtime.images() {
            Some(store) => store.name_of(&image.id.to_string()),
            None => named.to_owned(),
        }
    }

    /// Give the runtime an image that it lacks.
    pub(super) async fn hand_over(&self, image: &Image) -> Result<(), Failure> {
        let Some(store) = self.runtime.images() else { return Ok(()) };
        let failed = |text: String| {
            let text = format!("the image could not be given to {}: {text}", self.runtime.name());
            Failure::new(Failure::PULL, text)
        };
        let name = store.name_of(&image.id.to_string());
        let _alone = self.handing_over.lock().await;
        if store.has(&name).await.map_err(|error| failed(reason(&error)))? {
            return Ok(());
        }
        let (send, archive) = mpsc::channel(WAITING);
        let (images, id) = (self.images.clone(), image.id.to_string());
        let saving = tokio::task::spawn_blocking(move || -> Result<(), String> {
            let name: Reference = name.parse().map_err(|error| reason(&error))?;
            let pieces = BufWriter::with_capacity(PIECE, Pieces(send.clone()));
            images.save_as(&id, &name, pieces).map_err(|error| {
                // Without its end the other side must not take what it has for the whole.
                let _ = send.blocking_send(Err(io::Error::other("the archive breaks off")));
                reason(&error)
            })
        });
        let (loaded, saved) = tokio::join!(store.load(archive), saving);
        let saved = saved.unwrap_or_else(|error| Err(error.to_string()));
        match (loaded, saved) {
            (Ok(()), Ok(())) => Ok(()),
            // Who is not listened to any more cannot save either: the listener knows why.
            (Err(error @ host_runtime::Error::Docker(_)), _) | (Err(error), Ok(())) => {
                Err(failed(reason(&error)))
            }
            (_, Err(text)) => Err(failed(text)),
        }
    }

    /// What this host has forgotten its runtime forgets, too.
    pub(crate) async fn sweep_handed_over(&self) {
        let Some(store) = self.runtime.images() else { return };
        // An image that is on its way is in no list yet.
        let _alone = self.handing_over.lock().await;
        let images = self.images.clone();
        let here = match tokio::task::spawn_blocking(move || images.list()).await {
            Ok(Ok(here)) => here,
            Ok(Err(error)) => return tracing::warn!("the runtime keeps all images: {error}"),
            Err(error) => return tracing::error!("listing images ended badly: {error}"),
        };
        let names: Vec<String> =
            here.iter().map(|image| store.name_of(&image.id.to_string())).collect();
        if let Err(error) = store.keep(&names).await {
            tracing::warn!("images of the runtime were not cleaned up: {error}");
        }
    }
}

/// The writing end, for a thread that may wait.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

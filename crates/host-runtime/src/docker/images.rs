//! The Engine's own store of images. What a host hands over goes by a name made of the owner and the
//! image's id: nobody's tags are moved, and what is ours is known.

use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ImportImageOptionsBuilder, ListImagesOptions, RemoveImageOptions,
};
use futures_util::{StreamExt, stream};

use super::{Docker, pause, status_of, told};
use crate::error::Result;
use crate::{Archive, ImageStore};

/// How long an image may take to be unpacked.
const LOADING: Duration = Duration::from_secs(3600);

impl Docker {
    fn repository(&self) -> String {
        format!("wharf-{}", self.owner)
    }

    /// All names of this owner.
    pub(super) async fn own_images(&self) -> Result<Vec<String>> {
        // An Engine with containerd's store takes the filter `reference` for one name with its tag.
        let all = None::<ListImagesOptions>;
        let found = self.client.list_images(all).await.map_err(told)?;
        let own = format!("{}:", self.repository());
        let mut names: Vec<String> = found.into_iter().flat_map(|image| image.repo_tags).collect();
        names.retain(|name| name.starts_with(&own));
        names.sort();
        Ok(names)
    }

    /// One that a container is of stays, and one that is gone is no error.
    pub(super) async fn remove_image(&self, name: &str) -> Result<()> {
        let none = None::<RemoveImageOptions>;
        match self.client.remove_image(name, none, None).await {
            Err(error) if !matches!(status_of(&error), 404 | 409) => Err(told(error)),
            _ => Ok(()),
        }
    }

    fn pause_name(&self) -> String {
        format!("{}:{}", self.repository(), pause::TAG)
    }

    /// The image of pause containers, which is made where it is not there.
    pub(super) async fn pause_image(&self) -> Result<String> {
        let (repository, tag, name) = (self.repository(), pause::TAG, self.pause_name());
        if self.has(&name).await? {
            return Ok(name);
        }
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(&repository).tag(tag);
        let body = bollard::body_full(pause::root().into());
        let mut progress = self.client.create_image(Some(options.build()), Some(body), None);
        while let Some(step) = progress.next().await {
            step.map_err(told)?;
        }
        Ok(name)
    }
}

#[async_trait]
impl ImageStore for Docker {
    fn name_of(&self, image_id: &str) -> String {
        let digits = image_id.rsplit(':').next().unwrap_or(image_id);
        format!("{}:{digits}", self.repository())
    }

    async fn has(&self, name: &str) -> Result<bool> {
        match self.client.inspect_image(name).await {
            Ok(_) => Ok(true),
            Err(error) if status_of(&error) == 404 => Ok(false),
            Err(error) => Err(told(error)),
        }
    }

    async fn load(&self, archive: Archive) -> Result<()> {
        let pieces = stream::unfold(archive, |mut archive| async {
            let piece = archive.recv().await?;
            Some((piece, archive))
        });
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let body = bollard::body_try_stream(pieces);
        // Its answer comes when all is unpacked.
        let client = self.client.clone().with_timeout(LOADING);
        let mut progress = client.import_image(options, body, None);
        while let Some(step) = progress.next().await {
            step.map_err(told)?;
        }
        Ok(())
    }

    async fn keep(&self, names: &[String]) -> Result<()> {
        let pause = self.pause_name();
        for name in self.own_images().await? {
            if name != pause && !names.contains(&name) {
                self.remove_image(&name).await?;
            }
        }
        Ok(())
    }
}

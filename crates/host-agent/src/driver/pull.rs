//! Getting a container's image, as `ECS_IMAGE_PULL_BEHAVIOR` says.

use std::sync::{Arc, OnceLock, PoisonError};

use aws_agent::task::Container;
use host_images::{Credentials, Digest, Image, Progress, PullOptions, PullPlan, Reference};
use tokio::sync::Notify;

use super::{Driver, reason};
use crate::engine::{Event, Failure};
use crate::tasks::{Given, Live};

impl Driver {
    /// Pull, unless the task is to stop before that is done.
    pub(super) async fn pull(self: &Arc<Self>, live: &Arc<Live>, part: usize) -> Event {
        let id = live.given.container_id(part);
        let stop = Arc::new(Notify::new());
        let pulls = || self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        pulls().insert(id.clone(), stop.clone());
        let pulled = tokio::select! {
            pulled = self.provide_image(live, part) => Some(pulled),
            () = stop.notified() => None,
        };
        pulls().remove(&id);
        match pulled {
            None => Event::PullCancelled { part },
            Some(Err(failure)) => Event::Failed { part, failure },
            Some(Ok((image, digest))) => match self.hold(&id, &image) {
                Ok(()) => {
                    let digest = digest.map(|digest| digest.to_string());
                    if let Some(digest) = digest.clone().filter(|_| !names_digest(live, part)) {
                        let _ = live.events.send(Event::Resolved { part, digest }).await;
                    }
                    Event::Pulled { part, digest }
                }
                Err(failure) => Event::Failed { part, failure },
            },
        }
    }

    async fn provide_image(
        &self,
        live: &Live,
        part: usize,
    ) -> Result<(Arc<Image>, Option<Digest>), Failure> {
        let (image, digest) = self.get_image(live, part).await?;
        self.hand_over(&image).await?;
        Ok((image, digest))
    }

    /// The image, and the digest that its name stands for.
    async fn get_image(
        &self,
        live: &Live,
        part: usize,
    ) -> Result<(Arc<Image>, Option<Digest>), Failure> {
        let name = &live.given.task.containers[part].image;
        let here = self.find_image(name)?;
        let known = |image: Arc<Image>| {
            let reference: Option<Reference> = name.parse().ok();
            let digest = reference.map(|reference| image.digest_of(&reference));
            (image, digest)
        };
        let from_registry = |image: &Arc<Image>| image.repository_digest().is_some();
        if let Some(image) = here.as_ref().filter(|image| !from_registry(image)) {
            // Loaded or built here: no registry has it, so there is nothing to ask for.
            return Ok(known(image.clone()));
        }
        let plan = self.settings.pull.plan(here.is_some(), here.is_some());
        if let (PullPlan::Cached, Some(image)) = (plan, &here) {
            return Ok(known(image.clone()));
        }
        let _place = self.pulling.acquire().await;
        match (self.fetch(live, part).await, plan, here) {
            (Ok((image, digest)), _, _) => Ok((Arc::new(image), digest)),
            (Err(failure), PullPlan::PullElseCached, Some(image)) => {
                tracing::warn!("{name} was not pulled, the one that is here is used: {failure}");
                Ok(known(image))
            }
            (Err(failure), _, _) => Err(failure),
        }
    }

    pub(super) fn find_image(&self, name: &str) -> Result<Option<Arc<Image>>, Failure> {
        let found = self.images.find(name);
        let failed = |e: host_images::Error| Failure::new(Failure::PULL, reason(&e));
        Ok(found.map_err(failed)?.map(Arc::new))
    }

    /// The image of a container whose pull is done.
    pub(super) fn image(&self, given: &Given, part: usize) -> Result<Arc<Image>, Failure> {
        let id = given.container_id(part);
        if let Some(image) = self.used.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(image.clone());
        }
        // Pulled by the agent before this one. Its name may mean another by now.
        let name = &given.task.containers[part].image;
        let gone = || Failure::new(Failure::CREATE, format!("No such image: {name}"));
        let held = self.images.leased(&id).map(|image| image.to_string());
        let image = self.find_image(held.as_deref().unwrap_or(name))?.ok_or_else(gone)?;
        self.hold(&id, &image)?;
        Ok(image)
    }

    /// An image in use is never cleaned up.
    fn hold(&self, container_id: &str, image: &Arc<Image>) -> Result<(), Failure> {
        let held = self.images.lease(container_id, &image.id.to_string());
        held.map_err(|e| Failure::new(Failure::PULL, reason(&e)))?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // A hundred containers of one image have it in memory once.
        let is_same =
            |other: &&Arc<Image>| other.id == image.id && other.references == image.references;
        let image = used.values().find(is_same).unwrap_or(image).clone();
        used.insert(container_id.to_owned(), image);
        Ok(())
    }

    /// The id of the image that a container is of, while there are traces of it.
    pub(crate) fn image_id(&self, container_id: &str) -> Option<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = used.get(container_id).map(|image| image.id);
        drop(used);
        loaded.or_else(|| self.images.leased(container_id)).map(|id| id.to_string())
    }

    /// A task's images stay, but what they say is not needed any more.
    pub(crate) fn unload_images(&self, given: &Given) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for part in 0..given.task.containers.len() {
            used.remove(&given.container_id(part));
        }
    }

    pub(super) fn let_go(&self, container_id: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).remove(container_id);
        if let Err(error) = self.images.release(container_id) {
            tracing::warn!("the image of {container_id} stays leased: {error}");
        }
    }
}

impl Driver {
    async fn fetch(&self, live: &Live, part: usize) -> Result<(Image, Option<Digest>), Failure> {
        let container = &live.given.task.containers[part];
        let failed = |e: host_images::Error| Failure::new(host_images::error_name(&e), reason(&e));
        let reference: Reference =
            container.image.parse().map_err(|e| failed(host_images::Error::Reference(e)))?;
        let credentials = self.registry_credentials(container, &reference)?;
        let options = PullOptions { credentials, ..PullOptions::default() };
        let registry = &self.settings.registry;
        let resolved = Arc::new(OnceLock::new());
        let (events, meant) = (live.events.clone(), resolved.clone());
        let early = !names_digest(live, part);
        let listener = Arc::new(move |progress| {
            if let Progress::Resolved { digest, .. } = progress {
                let _ = meant.set(digest);
                if early {
                    // Where there is no room for it, it is told when the pull is done.
                    let _ = events.try_send(Event::Resolved { part, digest: digest.to_string() });
                }
            }
        });
        let pulled = self.images.pull(registry, &reference, &options, listener).await;
        Ok((pulled.map_err(failed)?, resolved.get().copied()))
    }

    fn registry_credentials(
        &self,
        container: &Container,
        reference: &Reference,
    ) -> Result<Option<Credentials>, Failure> {
        if let Some(asked) = &container.registry_authentication {
            let service = if asked.r#type == "ecr" { "ECR" } else { "Secrets Manager" };
            let text = format!(
                "unable to pull secrets or registry auth: the credentials of {} are kept by \
                 {service}, which is not offered",
                reference.registry()
            );
            return Err(Failure::new(Failure::RESOURCE, text));
        }
        // AWS: ECS_ENGINE_AUTH_DATA is a Docker configuration, or its `auths` alone.
        let Some(auth) = &self.settings.docker_auth else { return Ok(None) };
        let found =
            Credentials::from_docker_config(auth.to_string().as_bytes(), reference.registry());
        found.map_err(|error| Failure::new("CannotPullContainerAuthError", error.to_string()))
    }
}

/// AWS: what names a digest has nothing to be resolved.
fn names_digest(live: &Live, part: usize) -> bool {
    live.given.task.containers[part].image.contains('@')
}

//! The sentence that an AccessDenied error carries, as AWS words it for each reason.

use crate::evaluate::{Decision, Layer, Request};

impl Layer {
    /// The layer's name as it follows "because no".
    fn name(self) -> &'static str {
        match self {
            Layer::ServiceControl => "service control policy",
            Layer::Resource => "resource-based policy",
            Layer::Trust => "role trust policy",
            Layer::Identity => "identity-based policy",
            Layer::Boundary => "permissions boundary",
            Layer::Session => "session policy",
        }
    }

    fn article(self) -> &'static str {
        match self {
            Layer::Identity => "an",
            Layer::Trust => "the",
            _ => "a",
        }
    }
}

impl Decision {
    /// The text of the error; `None` where the request is allowed.
    pub fn denied_text(&self, request: &Request) -> Option<String> {
        let why = match self {
            Decision::Allow => return None,
            Decision::ExplicitDeny(found) => {
                let layer = found.layer;
                format!("with an explicit deny in {} {}", layer.article(), layer.name())
            }
            Decision::ImplicitDeny(layer) => {
                format!("because no {} allows the {} action", layer.name(), request.action)
            }
        };
        Some(format!("{} {why}", denied_head(request)))
    }

    /// The same without the reason, which is all that some services and AssumeRole tell.
    pub fn denied_text_without_reason(&self, request: &Request) -> Option<String> {
        (!self.is_allowed()).then(|| denied_head(request))
    }
}

fn denied_head(request: &Request) -> String {
    let (user, action) = (request.principal.arn(), request.action);
    let head = format!("User: {user} is not authorized to perform: {action}");
    match request.resource {
        "" => head,
        resource => format!("{head} on resource: {resource}"),
    }
}

//! Deletions, through the client itself: no command of ours deletes in other registries.

use content::{ContentError, Source, fetch_document};
use oci::{ImageManifest, Raw, Reference};
use registry_client::{Client, ClientOptions, RegistryError};

use crate::own::Own;
use crate::peers::{build, say};
use crate::registry::Registry;
use crate::sandbox::Sandbox;

fn deleting() -> Registry {
    let extra = "  delete: {enabled: true}\nhttp: {addr: \"ADDRESS\"}\n";
    Registry::start(tempfile::tempdir().unwrap(), extra, Vec::new())
}

#[test]
fn manifests_and_blobs_are_deleted_and_then_nobody_has_them() {
    let (docker, own, sandbox) = (deleting(), Own::new(), Sandbox::new());
    build(&sandbox);
    for base in [docker.name("team/one"), own.name("team/one")] {
        for tag in ["v1", "v2"] {
            sandbox.sealos(&["push", "-q", "one:v1", &format!("{base}:{tag}")]).fine();
        }
        sandbox.sealos(&["push", "-q", "--all", "both:v1", &format!("{base}:both")]).fine();
        let client = Client::new(ClientOptions::default());
        let name: Reference = format!("{base}:v1").parse().unwrap();
        let repository = client.repository(&name).unwrap();
        let root = repository.resolve(&name).unwrap();
        let image = Raw::<ImageManifest>::parse(fetch_document(&repository, &root).unwrap()).unwrap();
        let layer = image.value().layers[2].clone();

        repository.delete(&name.with_digest(root.digest)).unwrap();
        for tag in ["v1", "v2"] {
            let gone = repository.resolve(&name.with_tag(tag).unwrap());
            assert!(matches!(gone, Err(ContentError::UnknownImage { .. })), "{base}:{tag}: {gone:?}");
        }
        let again = repository.delete(&name.with_digest(root.digest)).unwrap_err();
        assert!(again.is_not_found(), "{again}");
        assert!(again.to_string().contains("does not have `"), "{again}");

        repository.delete_blob(&layer.digest).unwrap();
        let gone = repository.fetch(&layer, 0).map(drop);
        assert!(matches!(gone, Err(ContentError::MissingBlob { .. })), "{base}: {gone:?}");
        assert!(repository.delete_blob(&layer.digest).unwrap_err().is_not_found());
        assert_eq!(repository.blob_size(&layer.digest).unwrap(), None);
        assert_eq!(say("crane", &["ls", "--insecure", &base]), "both");
        // What was deleted can be sent again.
        sandbox.sealos(&["push", "-q", "one:v1", &format!("{base}:v1")]).fine();
        crate::peers::validate(&format!("{base}:v1"));
    }
}

#[test]
fn a_registry_that_deletes_nothing_is_said_to_be_one() {
    let (registry, sandbox) = (Registry::plain(), Sandbox::new());
    build(&sandbox);
    let text = registry.name("team/one:v1");
    sandbox.sealos(&["push", "-q", "one:v1", &text]).fine();
    let client = Client::new(ClientOptions::default());
    let name: Reference = text.parse().unwrap();
    let repository = client.repository(&name).unwrap();
    let root = repository.resolve(&name).unwrap();
    for refused in [
        repository.delete(&name.with_digest(root.digest)),
        repository.delete_blob(&root.digest),
        repository.delete(&name),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, RegistryError::Unsupported { .. }), "{refused}");
        assert!(refused.to_string().contains("does not let anybody delete"), "{refused}");
    }
    assert_eq!(repository.resolve(&name).unwrap(), root);
}

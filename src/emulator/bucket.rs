//! Buckets: their objects, their settings and who may do what in them.
//!
//! Decides what exists; knows neither requests nor answers.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/buckets#resource>.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Value, json};

use super::folder;
use super::listing::{Page, Wanted};
use super::state::{State, locked};
use super::stored::{Object, Stored};

/// How many of a folder's files are remembered.
const MAX_FILES: usize = 10_000;

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) name: String,
    created: SystemTime,
    objects: RwLock<BTreeMap<String, Arc<Stored>>>,
    /// Files of the folder that were asked for.
    files: Mutex<BTreeMap<String, Arc<Stored>>>,
    settings: Mutex<Settings>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    fields: BTreeMap<String, Value>,
    requester_pays: bool,
    public: BTreeSet<String>,
    grants: Option<BTreeMap<String, BTreeSet<String>>>,
    folder: Option<PathBuf>,
    empty_pages: bool,
    noncurrent: Option<BTreeMap<(String, u64), Arc<Stored>>>,
}

impl Bucket {
    /// An empty bucket in which every known caller may do everything.
    pub(super) fn new(name: String, created: SystemTime) -> Self {
        Self { name, created, objects: RwLock::default(), files: Mutex::default(), settings: Mutex::default() }
    }

    /// Finds an object: in memory, then in the folder.
    pub(super) async fn find(&self, name: &str, generation: Option<u64>) -> Option<Arc<Stored>> {
        let held = self.objects.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let found = match (held, self.folder()) {
            (Some(object), _) => Some(object),
            (None, Some(root)) => folder::find(root, name.to_owned()).await.map(|file| self.known(file)),
            (None, None) => None,
        };
        match generation {
            None => found,
            Some(wanted) => {
                found.filter(|object| object.generation == wanted).or_else(|| self.noncurrent(name, wanted))
            }
        }
    }

    /// One page of a listing.
    pub(super) async fn list(&self, wanted: &Wanted) -> Page {
        let empty_first = self.empty_pages();
        let mut files = match self.folder() {
            Some(root) => folder::walk(root).await,
            None => BTreeMap::new(),
        };
        let held = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let from = || wanted.from().to_owned()..;
        if files.is_empty() {
            return wanted.page(held.range(from()).map(|(_, object)| object), empty_first);
        }
        files.extend(held.range(from()).map(|(name, object)| (name.clone(), Arc::clone(object))));
        wanted.page(files.range(from()).map(|(_, object)| object), empty_first)
    }

    /// The file as it was seen before, if it has not changed: its checksum need not be made again.
    fn known(&self, file: Stored) -> Arc<Stored> {
        let mut files = locked(&self.files);
        let before = files.get(&file.name);
        let same = before.filter(|seen| (seen.generation, seen.size()) == (file.generation, file.size()));
        if let Some(seen) = same {
            return Arc::clone(seen);
        }
        if files.len() >= MAX_FILES {
            files.clear();
        }
        let file = Arc::new(file);
        files.insert(file.name.clone(), Arc::clone(&file));
        file
    }

    /// Keeps an object.
    pub(super) fn put(&self, object: Stored) -> Arc<Stored> {
        let object = Arc::new(object);
        let name = object.name.clone();
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let old = objects.insert(name, Arc::clone(&object));
        drop(objects);
        self.retire(old);
        object
    }

    /// Keeps an object if what is there now is as expected. Nobody can come in between.
    pub(super) fn put_if(&self, object: Stored, expected: impl FnOnce(Option<&Stored>) -> bool) -> Option<Arc<Stored>> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if !expected(objects.get(&object.name).map(Arc::as_ref)) {
            return None;
        }
        let object = Arc::new(object);
        let old = objects.insert(object.name.clone(), Arc::clone(&object));
        drop(objects);
        self.retire(old);
        Some(object)
    }

    /// Drops an object; whether there was one.
    pub(super) fn remove(&self, name: &str) -> bool {
        self.remove_if(name, |_| true)
    }

    /// Drops an object if it is the one that is meant; whether it was.
    pub(super) fn remove_if(&self, name: &str, meant: impl FnOnce(&Stored) -> bool) -> bool {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let was = objects.get(name).is_some_and(|object| meant(object));
        let old = if was { objects.remove(name) } else { None };
        drop(objects);
        self.retire(old);
        was
    }

    fn retire(&self, old: Option<Arc<Stored>>) {
        if let (Some(kept), Some(old)) = (&mut locked(&self.settings).noncurrent, old) {
            kept.insert((old.name.clone(), old.generation), old);
        }
    }

    fn noncurrent(&self, name: &str, generation: u64) -> Option<Arc<Stored>> {
        locked(&self.settings).noncurrent.as_ref()?.get(&(name.to_owned(), generation)).cloned()
    }

    fn folder(&self) -> Option<PathBuf> {
        locked(&self.settings).folder.clone()
    }

    /// Whether a principal (`None`: anyone) has a permission here.
    pub(super) fn allows(&self, principal: Option<&str>, permission: &str) -> bool {
        let settings = locked(&self.settings);
        let known = |principal: &str| match &settings.grants {
            None => true,
            Some(grants) => grants.get(principal).is_some_and(|granted| granted.contains(permission)),
        };
        settings.public.contains(permission) || principal.is_some_and(known)
    }

    /// Whether a caller has to name a project to bill.
    pub(super) fn requester_pays(&self) -> bool {
        locked(&self.settings).requester_pays
    }

    /// Whether listings have empty pages in between.
    pub(super) fn empty_pages(&self) -> bool {
        locked(&self.settings).empty_pages
    }

    /// A settable part of the resource, such as `cors` or `ipFilter`.
    pub(super) fn field(&self, name: &str) -> Option<Value> {
        locked(&self.settings).fields.get(name).cloned()
    }

    /// The bucket's JSON resource.
    pub(super) fn resource(&self, project: &str) -> Value {
        let settings = locked(&self.settings);
        let time = humantime::format_rfc3339_millis(self.created).to_string();
        let mut value = json!({
            "kind": "storage#bucket",
            "id": self.name,
            "name": self.name,
            "projectNumber": "123456789012",
            "owner": {"entity": format!("project-owners-{project}")},
            "metageneration": "1",
            "location": "EUROPE-WEST3",
            "locationType": "region",
            "storageClass": "STANDARD",
            "etag": "CAE=",
            "timeCreated": time,
            "updated": time,
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": true}, "publicAccessPrevention": "inherited"
            },
        });
        if settings.requester_pays {
            value["billing"] = json!({"requesterPays": true});
        }
        for (name, field) in &settings.fields {
            value[name] = field.clone();
        }
        value
    }
}

/// An object as a bucket holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its generation.
    pub generation: u64,
    /// Its stored bytes.
    pub bytes: Bytes,
    /// `Content-Type`, if one is stored.
    pub content_type: Option<String>,
    /// `x-goog-meta-…`.
    pub metadata: BTreeMap<String, String>,
}

/// A test's or the demo's hold on a bucket.
#[derive(Clone, Debug)]
pub struct BucketHandle {
    pub(super) bucket: Arc<Bucket>,
    pub(super) state: Arc<State>,
}

impl BucketHandle {
    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.bucket.name
    }

    /// Puts an object; returns its generation.
    pub fn put(&self, name: impl Into<String>, object: Object) -> u64 {
        let generation = object.generation.unwrap_or_else(|| self.state.next_generation());
        self.bucket.put(Stored::new(name.into(), object, generation, self.state.now())).generation
    }

    /// The bytes of an object that was put or uploaded, with its content type and its custom metadata.
    pub fn object(&self, name: &str) -> Option<Held> {
        let objects = self.bucket.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(name).map(|object| Held {
            generation: object.generation,
            bytes: object.content.whole(),
            content_type: object.fields.content_type.clone(),
            metadata: object.fields.custom.clone(),
        })
    }

    /// The names of all objects that were put or uploaded, in order.
    pub fn names(&self) -> Vec<String> {
        self.bucket.objects.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Drops an object; whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.bucket.remove(name)
    }

    /// Serves a folder's files too, by their paths with `/` in between.
    pub fn serve_folder(&self, path: impl AsRef<Path>) {
        self.change(|settings| settings.folder = Some(path.as_ref().to_owned()));
    }

    /// Sets the CORS rules: the JSON array that `gsutil cors set` takes.
    pub fn set_cors(&self, cors: Value) {
        self.set_field("cors", cors);
    }

    /// Sets the IP filter: the JSON object that `gcloud storage buckets update --ip-filter-file` takes.
    pub fn set_ip_filter(&self, filter: Value) {
        self.set_field("ipFilter", filter);
    }

    /// Sets any other part of the bucket's resource.
    pub fn set_field(&self, name: &str, value: Value) {
        self.change(|settings| _ = settings.fields.insert(name.to_owned(), value));
    }

    /// Makes callers name a project to bill, or not.
    pub fn requester_pays(&self, on: bool) {
        self.change(|settings| settings.requester_pays = on);
    }

    /// Lets everyone read and list.
    pub fn set_public(&self) {
        let all = ["storage.objects.get", "storage.objects.list"];
        self.change(|settings| settings.public.extend(all.map(str::to_owned)));
    }

    /// From now on callers need grants.
    pub fn restrict(&self) {
        self.change(|settings| _ = settings.grants.get_or_insert_default());
    }

    /// Restricts the bucket and grants a principal permissions such as `storage.objects.get`.
    pub fn grant(&self, principal: &str, permissions: &[&str]) {
        self.change(|settings| {
            let granted = settings.grants.get_or_insert_default().entry(principal.to_owned()).or_default();
            granted.extend(permissions.iter().map(|&permission| permission.to_owned()));
        });
    }

    /// Restricts the bucket and takes all permissions from a principal.
    pub fn revoke(&self, principal: &str) {
        self.change(|settings| _ = settings.grants.get_or_insert_default().remove(principal));
    }

    /// Puts an empty page with a token before every page of a listing, or not.
    pub fn empty_pages(&self, on: bool) {
        self.change(|settings| settings.empty_pages = on);
    }

    /// Keeps overwritten and deleted generations from now on.
    pub fn keep_noncurrent(&self) {
        self.change(|settings| _ = settings.noncurrent.get_or_insert_default());
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut locked(&self.bucket.settings));
    }
}

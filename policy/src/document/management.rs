//! The part that every policy gets: the permissions and routes of the gate's own management API, written in the same
//! language and read by the same code as documents.

use std::sync::LazyLock;

use crate::description::PermissionInfo;
use crate::yaml::{Node, Reader, Report};

use super::{Part, Routes, catalogue};

/// What is appended to the permissions and routes of each document.
pub(super) struct Fragment {
    pub(super) permissions: Vec<PermissionInfo>,
    pub(super) routes: Routes,
}

/// The fragment, read once.
///
/// # Errors
/// What is wrong with it: a mistake of this program, which its tests find.
pub(super) fn fragment() -> Result<&'static Fragment, Report> {
    static FRAGMENT: LazyLock<Result<Fragment, Report>> = LazyLock::new(|| {
        let text = include_str!("../../documents/management.yaml");
        let (reader, root) = Reader::open("management.yaml", text)?;
        let fragment = read(&reader, &root);
        reader.finish(fragment)
    });
    FRAGMENT.as_ref().map_err(Clone::clone)
}

fn read(reader: &Reader, root: &Node) -> Option<Fragment> {
    let known = ["permissions", "routes"];
    let fields = reader.fields(root, "the management part", &known)?;
    let permissions = catalogue::permissions(reader, &fields, Part::Management);
    let routes = super::routes(reader, &fields, permissions.as_deref(), Part::Management);
    Some(Fragment {
        permissions: permissions?,
        routes,
    })
}

#[cfg(test)]
mod tests;

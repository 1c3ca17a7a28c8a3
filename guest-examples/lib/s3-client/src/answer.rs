//! What answers say.

use crate::encode::decode;
use crate::error::Refusal;
use crate::xml::{Item, walk};

/// An object of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
}

/// An upload that was neither completed nor aborted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenUpload {
    /// The key of the object that it would make.
    pub key: String,
    /// Its id.
    pub id: String,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// What the next part is asked for with; none: this was the last.
    pub next: Option<String>,
}

/// The answer to ListObjectsV2 with `encoding-type=url`.
pub(crate) fn objects(text: &str) -> Option<Page<Listed>> {
    let (mut items, mut object) = (Vec::new(), Listed::default());
    let (mut next, mut truncated, mut root) = (None, false, String::new());
    let mut odd = false;
    walk(text, |item| match item {
        Item::Text([_, group, name], text) if group == "Contents" => match &**name {
            "Key" => match decode(text) {
                Some(key) => object.key = key,
                None => odd = true,
            },
            "Size" => match text.parse() {
                Ok(size) => object.size = size,
                Err(_) => odd = true,
            },
            _ => {}
        },
        Item::End([_, group]) if group == "Contents" => items.push(std::mem::take(&mut object)),
        Item::Text([_, name], text) if name == "NextContinuationToken" => {
            next = Some(text.to_owned())
        }
        Item::Text([_, name], text) if name == "IsTruncated" => truncated = text == "true",
        Item::Text([name], _) | Item::End([name]) => name.clone_into(&mut root),
        _ => {}
    })?;
    if odd || root != "ListBucketResult" || (truncated && next.is_none()) {
        return None;
    }
    Some(Page { items, next: next.filter(|_| truncated) })
}

/// The answer to ListMultipartUploads with `encoding-type=url`. The next part begins behind a key and an id: where there is one,
/// the caller asks again from the start, since it aborts what it is given.
pub(crate) fn uploads(text: &str) -> Option<(Vec<OpenUpload>, bool)> {
    let (mut items, mut upload) = (Vec::new(), OpenUpload::default());
    let (mut truncated, mut root, mut odd) = (false, String::new(), false);
    walk(text, |item| match item {
        Item::Text([_, group, name], text) if group == "Upload" => match &**name {
            "Key" => match decode(text) {
                Some(key) => upload.key = key,
                None => odd = true,
            },
            "UploadId" => text.clone_into(&mut upload.id),
            _ => {}
        },
        Item::End([_, group]) if group == "Upload" => items.push(std::mem::take(&mut upload)),
        Item::Text([_, name], text) if name == "IsTruncated" => truncated = text == "true",
        Item::Text([name], _) | Item::End([name]) => name.clone_into(&mut root),
        _ => {}
    })?;
    (root == "ListMultipartUploadsResult" && !odd).then_some((items, truncated))
}

/// The id in the answer to CreateMultipartUpload.
pub(crate) fn upload_id(text: &str) -> Option<String> {
    let mut id = None;
    walk(text, |item| {
        if let Item::Text([_, name], text) = item
            && name == "UploadId"
            && !text.is_empty()
        {
            id = Some(text.to_owned());
        }
    })?;
    id
}

/// What a body of an answer with status 200 says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused(Refusal),
}

/// The answer to CompleteMultipartUpload: an error may come long after the status was sent. The white
/// space that keeps the connection alive until then is before the document.
pub(crate) fn completed(text: &str, hide: &[&str]) -> Option<Outcome> {
    let text = text.trim_start();
    if let Some(refusal) = Refusal::read(text, hide) {
        return Some(Outcome::Refused(refusal));
    }
    let mut root = String::new();
    walk(text, |item| {
        if let Item::Text([name], _) | Item::End([name]) = item {
            name.clone_into(&mut root);
        }
    })?;
    (root == "CompleteMultipartUploadResult").then_some(Outcome::Done)
}

/// The first key that DeleteObjects did not delete, and why.
pub(crate) fn deleted(text: &str, hide: &[&str]) -> Option<Option<(String, Refusal)>> {
    let (mut first, mut key, mut code, mut root) =
        (None, String::new(), String::new(), String::new());
    walk(text, |item| match item {
        Item::Text([_, group, name], text) if group == "Error" => match &**name {
            "Key" => text.clone_into(&mut key),
            "Code" => text.clone_into(&mut code),
            _ => {}
        },
        Item::End([_, group]) if group == "Error" => {
            let mut xml = String::from("<Error>");
            crate::xml::element("Code", &code, &mut xml);
            xml.push_str("</Error>");
            let refusal = Refusal::read(&xml, hide).unwrap_or_default();
            first.get_or_insert((std::mem::take(&mut key), refusal));
        }
        Item::Text([name], _) | Item::End([name]) => name.clone_into(&mut root),
        _ => {}
    })?;
    (root == "DeleteResult").then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_keys_and_a_next_part() {
        let text = "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a/b%2B1+2</Key>\
                    <Size>7</Size><Owner><ID>x</ID></Owner></Contents>\
                    <NextContinuationToken>t&amp;1</NextContinuationToken></ListBucketResult>";
        let page = objects(text).expect("a list");
        assert_eq!(page.items, [Listed { key: "a/b+1 2".to_owned(), size: 7 }]);
        assert_eq!(page.next.as_deref(), Some("t&1"));
        assert_eq!(objects("<ListBucketResult/>").expect("a list").items, []);
        let endless = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert_eq!(objects(endless), None);
        assert_eq!(objects("<html></html>"), None);
    }

    #[test]
    fn uploads_are_listed() {
        let text = "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId></Upload>\
                    <IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        let upload = OpenUpload { key: "k".to_owned(), id: "u".to_owned() };
        assert_eq!(uploads(text), Some((vec![upload], false)));
        let text =
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
        assert_eq!(upload_id(text).as_deref(), Some("u"));
        assert_eq!(upload_id("<a><UploadId/></a>"), None);
    }

    #[test]
    fn a_completion_may_be_an_error() {
        let done = "\n  <?xml version=\"1.0\"?><CompleteMultipartUploadResult><ETag>e</ETag>\
                    </CompleteMultipartUploadResult>";
        assert_eq!(completed(done, &[]), Some(Outcome::Done));
        let late = "   <Error><Code>InternalError</Code></Error>";
        let Some(Outcome::Refused(refusal)) = completed(late, &[]) else { panic!("an error") };
        assert_eq!(refusal.code, "InternalError");
        assert_eq!(completed("", &[]), None);
    }

    #[test]
    fn a_key_that_stays_is_told() {
        let text = "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key>\
                    <Code>AccessDenied</Code></Error></DeleteResult>";
        let (key, refusal) = deleted(text, &[]).expect("a result").expect("a refusal");
        assert_eq!((&*key, &*refusal.code), ("b", "AccessDenied"));
        assert_eq!(deleted("<DeleteResult/>", &[]), Some(None));
    }
}

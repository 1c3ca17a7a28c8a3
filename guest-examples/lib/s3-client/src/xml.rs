//! The little of XML that answers are made of: elements with text in them.
//!
//! The attack: a document that grows when it is read, or that is nested without measure. An answer is read
//! whole and has a size by then; entities of its own are not known, and depth is limited.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

/// Elements within one another; S3 has five.
const DEPTH: usize = 16;

/// Something of a document, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// An element's text, before its end. The path has the names from the root to it.
    Text(&'a [String], &'a str),
    /// An element that held others ended.
    End(&'a [String]),
}

/// Gives each element to `take`. None: it is no whole document.
pub(crate) fn walk(text: &str, mut take: impl FnMut(Item<'_>)) -> Option<()> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    // Did the innermost element hold others?
    let mut parent = false;
    let mut roots = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                roots += usize::from(path.is_empty());
                if path.len() == DEPTH || roots > 1 {
                    return None;
                }
                path.push(start.local_name().as_ref().to_owned());
                content.clear();
                parent = false;
            }
            Event::Empty(start) => {
                roots += usize::from(path.is_empty());
                if path.len() == DEPTH || roots > 1 {
                    return None;
                }
                path.push(start.local_name().as_ref().to_owned());
                take(Item::Text(&path, ""));
                path.pop();
                parent = true;
            }
            Event::End(_) => {
                take(if parent { Item::End(&path) } else { Item::Text(&path, &content) });
                path.pop()?;
                content.clear();
                parent = true;
            }
            Event::Text(text) => content.push_str(&text.xml10_content()),
            Event::CData(text) => content.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => content.push(character),
                None => content.push_str(resolve_xml_entity(&reference.xml10_content())?),
            },
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            // Nothing of S3 has one.
            Event::DocType(_) => return None,
            Event::Eof => return (path.is_empty() && roots == 1).then_some(()),
        }
    }
}

/// Adds an element with a text.
pub(crate) fn element(name: &str, text: &str, out: &mut String) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    out.push_str(&quick_xml::escape::escape(text));
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(text: &str) -> Option<Vec<String>> {
        let mut items = Vec::new();
        walk(text, |item| {
            items.push(match item {
                Item::Text(path, text) => format!("{}={text}", path.join("/")),
                Item::End(path) => format!("{}.", path.join("/")),
            });
        })?;
        Some(items)
    }

    #[test]
    fn elements_come_with_their_text() {
        let text = "<?xml version=\"1.0\"?>\n<a xmlns=\"http://x\"><b>1 &amp; &#x41;<![CDATA[<]]></b>\n\
                    <c><b>2</b></c><d/><!-- no --></a>";
        let expected = ["a/b=1 & A<", "a/c/b=2", "a/c.", "a/d=", "a."];
        assert_eq!(items(text).expect("it is whole"), expected);
    }

    #[test]
    fn what_is_no_whole_document_is_none() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;</a>";
        let deep = "<a>".repeat(20) + &"</a>".repeat(20);
        for text in ["", "no", "<a>", "<a></b>", "<a/><a/>", "<a>&b;</a>", bomb, &deep] {
            assert_eq!(items(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[^\\p{Cc}]*") {
            let mut out = String::new();
            element("a", &text, &mut out);
            prop_assert_eq!(items(&out), Some(vec![format!("a={text}")]));
        }

        #[test]
        fn no_text_breaks_it(text in "[<>/&;#ab!\\[\\] \"=?-]{0,40}") {
            let _ = items(&text);
        }
    }
}

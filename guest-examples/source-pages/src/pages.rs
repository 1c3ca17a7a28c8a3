//! One page after the other.

use lockgate_sdk::{Failure, http, retry};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{Config, first_page};

/// Pages of one read: links that lead in a circle end here.
const MAX_PAGES: u64 = 1_000_000;

/// What the API answers.
#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    /// Missing, null, or a link.
    #[serde(default, deserialize_with = "present")]
    next: Option<Option<String>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// One item.
#[derive(Debug)]
pub(crate) struct Item {
    text: Box<RawValue>,
    pub(crate) updated_at: Option<String>,
}

impl Item {
    fn new(text: Box<RawValue>) -> Result<Self, Failure> {
        /// All that this source looks at.
        #[derive(Deserialize)]
        struct Looked {
            #[serde(default)]
            updated_at: Option<String>,
        }

        // An array would do for serde as well.
        let looked = if text.get().starts_with('{') { text.get() } else { "" };
        let Looked { updated_at } = serde_json::from_str(looked).map_err(|_| {
            Failure::system("an item of the API is not an object whose `updated_at` is a text")
        })?;
        Ok(Self { text, updated_at })
    }

    /// Appends it as the API wrote it, in one line, without a line feed.
    pub(crate) fn append_to(&self, data: &mut Vec<u8>) {
        // Within JSON a line feed is only ever between two values, where a space is as good.
        let in_line = |byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte };
        data.extend(self.text.get().bytes().map(in_line));
    }
}

/// The pages of one read, from the first on.
pub(crate) struct Pages<'a> {
    config: &'a Config,
    since: Option<String>,
    client: http::Client,
    /// The API's first page; what a link leads to is at the same place.
    base: http::Url,
    /// The next page; none at the end.
    next: Option<http::Url>,
    read: u64,
}

impl<'a> Pages<'a> {
    /// Those with what was changed at `since` or later.
    pub(crate) fn new(config: &'a Config, since: Option<&str>) -> Result<Self, Failure> {
        let base = first_page(config)?;
        let mut pages = Self {
            config,
            since: since.map(str::to_owned),
            client: http::Client::new(),
            next: None,
            read: 0,
            base,
        };
        pages.next = Some(pages.numbered(1));
        Ok(pages)
    }

    /// The items of the next page; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Item>>, Failure> {
        let Some(url) = self.next.take() else { return Ok(None) };
        self.read += 1;
        if self.read > MAX_PAGES {
            return Err(Failure::system(format!("the API has more than {MAX_PAGES} pages")));
        }
        let page: Page = retry::Policy::default().run("reading a page", || {
            let mut request = self.client.get(&url).header("accept", "application/json");
            if let Some(token) = &self.config.token {
                request = request.bearer(token);
            }
            request.send()?.success()?.json()
        })?;
        self.next = match page.next {
            Some(None) => None,
            Some(Some(link)) => Some(self.linked(&url, &link)?),
            None if page.items.is_empty() => None,
            None => Some(self.numbered(self.read + 1)),
        };
        page.items.into_iter().map(Item::new).collect::<Result<_, _>>().map(Some)
    }

    fn numbered(&self, page: u64) -> http::Url {
        let mut url = self.base.clone();
        url.query_pairs_mut().append_pair("page", &page.to_string());
        if let Some(since) = &self.since {
            url.query_pairs_mut().append_pair("updated_since", since);
        }
        url
    }

    /// Where a link leads. The token goes with it, so it leads to the API and nowhere else.
    fn linked(&self, from: &http::Url, link: &str) -> Result<http::Url, Failure> {
        let url = from.join(link).map_err(|_| Failure::system("the link `next` is not a URL"))?;
        if url.origin() != self.base.origin() {
            return Err(Failure::system("the link `next` leads to another host than the API's"));
        }
        if url == *from {
            return Err(Failure::system("the link `next` leads to its own page"));
        }
        Ok(url)
    }
}

//! The connector, run natively against a server that answers as S3 does: `scripts/with-test-services`.

#[path = "s3/scene.rs"]
mod scene;

#[path = "s3/generations.rs"]
mod generations;
#[path = "s3/leftovers.rs"]
mod leftovers;
#[path = "s3/rows.rs"]
mod rows;

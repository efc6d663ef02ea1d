"""Social posts: turn the posts of ActivityStreams servers into item events."""

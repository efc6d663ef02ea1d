"""Images: recognise, decode and shrink the pictures of strangers, in one place and by one rule."""

"""What sets off a training, once each: files that people drop, images that they push."""

"""Computer vision: computes looks, colours and hashes from pixels; imports only numpy, PIL and schemas."""

"""The last step of an event: files, sockets and web servers, one file a kind."""

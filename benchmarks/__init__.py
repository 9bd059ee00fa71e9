"""What the project measures itself with: media of real encoders, the codec tables, and speed."""

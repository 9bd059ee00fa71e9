"""What is installed on a sensor: .deb and .rpm with an environment of their own, wheel, sdist and bill of materials."""

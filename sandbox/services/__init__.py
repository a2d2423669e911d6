"""What servers and people find around the cloud's API: names, certificates, images."""

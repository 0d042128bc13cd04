# To be read by other scripts: prints this machine's own mirror of Debian; nothing where it has none.
debian_mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(REPO_URI)' |
        sed -n 's:^Debian/Debian ::p' | head -n 1
}

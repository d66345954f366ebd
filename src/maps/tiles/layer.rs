//! The layers: what each is called, and what it says about itself in TileJSON.

/// A layer of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Layer {
    Decorations,
    Edges,
    Coverage,
    Regions,
    /// For admins.
    DeviceDensity,
}

impl Layer {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 5] = [Self::Decorations, Self::Edges, Self::Coverage, Self::Regions, Self::DeviceDensity];

    /// The name in addresses, and of the layer within its tiles.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Decorations => "decorations",
            Self::Edges => "edges",
            Self::Coverage => "coverage",
            Self::Regions => "regions",
            Self::DeviceDensity => "device_density",
        }
    }

    /// The layer of a name that anybody may see.
    pub(super) fn open_to_all(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| *layer != Self::DeviceDensity && layer.name() == name)
    }

    /// Title for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Decorations => "AR decorations",
            Self::Edges => "Edge servers",
            Self::Coverage => "Service areas of edge servers",
            Self::Regions => "Regions",
            Self::DeviceDensity => "Device density",
        }
    }

    /// What it shows.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Decorations => {
                "Active decorations: points from zoom 12 on; below, points with the count of an H3 cell, which may be some seconds behind."
            }
            Self::Edges => "Active edge servers with their health.",
            Self::Coverage => "Service areas of the active edge servers; circles of less than a pixel are left out.",
            Self::Regions => "Countries, their first-level divisions from zoom 4 on, and areas that admins drew.",
            Self::DeviceDensity => {
                "Distinct users by H3 cell in a closed quarter-hour, cells of fewer than 10 left out; resolution 7 from zoom 8 on, coarser sums below."
            }
        }
    }

    /// The largest zoom at which a tile still has more to show than its part of the one above.
    pub(super) fn max_zoom(self) -> u8 {
        match self {
            Self::Decorations | Self::Edges => 16,
            Self::Coverage | Self::Regions => 14,
            Self::DeviceDensity => 10,
        }
    }

    /// Properties of its features, and what they are.
    pub(super) fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Decorations => &[
                ("cell", "H3 cell in its hexadecimal form; below zoom 12."),
                ("count", "Active decorations in the cell; below zoom 12."),
                ("id", "The decoration, a UUID; from zoom 12 on."),
                ("name", "Its title; from zoom 12 on."),
                ("category", "Its category; from zoom 12 on."),
                ("asset_type", "3d_model, image or animation; from zoom 12 on."),
                ("radius_meters", "Its detection radius in metres; from zoom 12 on."),
            ],
            Self::Edges | Self::Coverage => &[
                ("id", "The edge server, a UUID."),
                ("name", "Its name."),
                ("region", "Its operator's label."),
                ("health_status", "healthy, degraded, offline or unknown."),
                ("draining", "Whether it gets no new devices."),
            ],
            Self::Regions => &[
                ("code", "ISO 3166-1 alpha-2, ISO 3166-2, or the admin's own code."),
                ("name", "English name."),
                ("kind", "country, admin1 or custom."),
                ("parent_code", "The region it is part of; absent when there is none."),
            ],
            Self::DeviceDensity => &[
                ("cell", "H3 cell in its hexadecimal form."),
                ("users", "Distinct users; below zoom 8 a sum over the cell's parts."),
                ("bucket_start", "Start of the quarter-hour, RFC 3339 in UTC."),
            ],
        }
    }

    /// Who is to be named where it is shown.
    pub(super) fn attribution(self) -> Option<&'static str> {
        match self {
            Self::Decorations => Some(
                r#"Place data © <a href="https://www.geonames.org">GeoNames</a>, <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>"#,
            ),
            Self::Regions => Some(r#"Made with <a href="https://www.naturalearthdata.com">Natural Earth</a>"#),
            Self::Edges | Self::Coverage | Self::DeviceDensity => None,
        }
    }
}
